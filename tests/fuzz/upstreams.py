"""An upstream that answers at random: nobody is misled, nothing wrong is kept."""

import logging
import tempfile
from pathlib import Path
from random import Random

import structlog
import trio
from hypothesis import (
    HealthCheck,
    Phase,
    given,
    seed as seeded,
    settings,
    strategies as st,
)

from tests.hostile.conftest import Site, open_site
from tests.hostile.test_upstreams_at_random import ACTS, _at, ask_for_all
from tests.hostile.upstream import Act

_DRAWN = 25  # answers of a round
_FRESH = 20  # rounds, and then another data directory


def meet_upstreams(seed: int, count: int) -> int:
    """Have a mirror meet `count` drawn answers; return how many it took."""
    pool = _draw(seed)
    rng, taken = Random(seed), 0
    defects = _Defects()
    logging.getLogger().addHandler(defects)
    try:
        while taken < count:
            with (
                tempfile.TemporaryDirectory(prefix="fuzz-") as root,
                structlog.testing.capture_logs() as told,
            ):
                taken += trio.run(_meet, pool, rng, count - taken, Path(root))
            assert not [entry for entry in told if entry.get("exc_info")]
    finally:
        logging.getLogger().removeHandler(defects)
    assert not defects.found
    return taken


class _Defects(logging.Handler):
    """Keeps what only a defect logs."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.found.append(self.format(record))


def _draw(seed: int) -> list[Act]:
    """Draw answers to choose from; the lists of their parts are hypothesis's."""
    pool: list[Act] = []

    @seeded(seed)
    @settings(
        max_examples=60,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(ACTS, min_size=_DRAWN, max_size=_DRAWN))
    def draw(acts: list[Act]) -> None:
        pool.extend(acts)

    draw()
    return pool


async def _meet(pool: list[Act], rng: Random, count: int, root: Path) -> int:
    taken = 0
    with trio.fail_after(600):
        async with open_site(root) as site:
            for _ in range(_FRESH):
                taken += await _round(site, [rng.choice(pool) for _ in range(_DRAWN)])
                if taken >= count:
                    break
            site.registry.acts = []
            await site.is_well()
    return taken


async def _round(site: Site, acts: list[Act]) -> int:
    site.registry.acts = [_at(act, site.registry.url) for act in acts]
    site.registry.images.clear()
    while (left := len(site.registry.acts)) > 0:
        await ask_for_all(site)
        if len(site.registry.acts) == left:
            break  # it has heard enough of this one for now
    site.setup.mirror.set_offline(offline=False)
    return len(acts) - left
