"""A wall clock that jumps under a daemon: nothing is lost, nothing is stale for ever.

What Python's `time` tells of the wall clock is shifted in the daemon while it runs. The
kernel goes on stamping files, and SQLite rows, by the true clock.
"""

import os
from collections.abc import AsyncIterator, Callable

import pytest
import trio

from tests.e2e.conftest import need
from tests.e2e.serving import Daemon
from tests.torture.invariants import broken
from tests.torture.ledger import Ledger
from tests.torture.traffic import Broken, Clients
from tests.torture.world import World, open_world, serving

DAY = 24 * 3600  # seconds
# To 1970, to 2106; and back.
JUMPS = (-56 * 365 * DAY, 80 * 365 * DAY, 0)
HERE = ("n1", "quay.io/owner/app0")
PAGES = ("/", "/cache", "/api/v1/images", "/api/v1/status", "/api/v1/failures")


# Python imports this when it starts; what imports `time` then gets these.
_SHIFT = """\
import os, time

def shift(clock, unit):
    def shifted():
        with open(os.environ["CLOCK_OFFSET"]) as file:
            return clock() + int(file.read()) * unit
    return shifted

time.time = shift(time.time, 1)
time.time_ns = shift(time.time_ns, 10**9)
"""


@pytest.fixture
async def world(tmp_path) -> AsyncIterator[World]:
    need("nix-instantiate", "docker-registry")
    async with open_world(tmp_path, 4) as world:
        world.lies.on = False
        config = tmp_path / "config.toml"
        config.write_text(config.read_text().replace("ttl = 0", "ttl = 3600"))
        yield world


@pytest.fixture
def jump(tmp_path) -> Callable[[int], None]:
    def jump(seconds: int) -> None:
        new = tmp_path / "offset.new"
        new.write_text(str(seconds))
        new.rename(tmp_path / "offset")  # whole at any moment: it is read all the time

    jump(0)
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "sitecustomize.py").write_text(_SHIFT)
    return jump


@pytest.fixture
async def daemon(world, jump, tmp_path) -> AsyncIterator[Daemon]:
    places = [str(tmp_path / "python"), os.environ.get("PYTHONPATH", "")]
    async with serving(
        world,
        PYTHONPATH=os.pathsep.join(filter(None, places)),
        CLOCK_OFFSET=str(tmp_path / "offset"),
    ) as daemon:
        yield daemon


async def test_a_clock_that_jumps_loses_nothing_and_makes_nothing_stale(
    world, daemon, jump
):
    ledger = Ledger()

    def asked() -> int:
        return world.upstream.count("app0/manifests/latest")

    async with Clients(daemon, ledger) as clients:
        for name in HERE:
            await clients.pull(name)
        for number, offset in enumerate(JUMPS, start=2):
            jump(offset)
            before = asked()
            for name in (*HERE, *HERE, f"n{number}", f"quay.io/owner/app{number}"):
                await clients.pull(name)
            # Checked once, as nothing is known of this time, and then fresh.
            assert asked() == before + 1, offset
            with pytest.raises(Broken, match=r"403.*exit code 3"):
                await clients.pull("breaks")
            for page in PAGES:
                assert (await clients.get(page)).status_code == 200
            (failure, *_) = (await clients.get("/api/v1/failures")).json()
            assert failure["repository"] == "breaks"
            done = await trio.to_thread.run_sync(daemon.command, "gc", "--max-size=1MB")
            assert done.returncode == 0, done
        for name in sorted(ledger.pulled):
            await clients.pull(name)
    assert (ledger.losses, list(broken(daemon.data))) == ([], [])
