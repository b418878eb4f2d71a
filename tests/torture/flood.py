"""`python -m tests.torture.flood`: ten thousand names in a minute; nobody else notices.

Most name no package, some an image that has to be built. By default each client asks
for its next name when that is due, and leaves if it has no answer by then; with
`--seconds 0` it waits for each answer. Meanwhile others pull what is here, have
something built, and look at the page. Told is what the daemon took at most, how long
the others waited, and what is left of it all.
"""

import argparse
import math
import random
import shutil
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path

import httpx
import trio

from tests.e2e.registry import MANIFEST_TYPE
from tests.e2e.serving import NO_SANDBOX, Daemon, serving
from tests.torture.crowd import LEFT, flood, no_such_names
from tests.torture.gauges import (
    Taken,
    count_children,
    count_files,
    leaks,
    memory_of,
    take,
    take_when,
)
from tests.torture.world import PACKAGES

MOST = 80_000_000  # bytes of memory that a crowd may cost
BUILDS = 3  # at once
# One evaluation or build each, or git for the status: and none for who only waits.
CHILDREN = BUILDS + 1
# What others ask for, again and again.
_OTHERS: Mapping[str, Iterable[str]] = {
    "the API's root": repeat("/v2/"),
    "a warm pull": repeat("/v2/n1/manifests/latest"),
    "the page's API": repeat("/api/v1/status"),
    "the page": repeat("/"),
    "a build": [f"/v2/n{number}/manifests/latest" for number in range(2, 100)],
}
_TO_BUILD = range(100, 500)  # the packages that a flood names
_CONFIG = """\
source = "torture"
[sources.torture]
path = "{packages}"
[nix]
max_builds = {builds}
"""


@contextmanager
def few_builds(place: Path) -> Iterator[Daemon]:
    """Serve small packages; started as a shell does it, with few descriptors."""
    packages = place / "packages"
    shutil.copytree(PACKAGES, packages)
    (packages / "seed").write_text(uuid.uuid4().hex)
    config = place / "config.toml"
    config.write_text(_CONFIG.format(packages=packages, builds=BUILDS))
    few = ("sh", "-c", 'ulimit -Sn 256; exec "$0" "$@"')
    quiet = {"NIX_CONFIG": NO_SANDBOX}
    with serving(place, f"--config={config}", prefix=few, environ=quiet) as daemon:
        for name in ("n1", "big"):
            assert daemon.manifest(name).status == 200
        yield daemon


@dataclass
class Flood:
    """What was asked, and what it took: memory in bytes, waits in seconds."""

    answers: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    before: Taken | None = None
    after: Taken | None = None
    memory: int = 0
    files: int = 0
    children: int = 0
    waits: dict[str, list[float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def snapshot(self) -> str:
        """Tell how it went."""
        assert self.before
        statuses = ", ".join(
            f"{'left' if status == LEFT else status}: {count}"
            for status, count in sorted(self.answers.items())
        )
        others = "".join(
            f"\n  {kind}: {len(waits)} answers, the longest took {max(waits):.2f} s"
            for kind, waits in self.waits.items()
        )
        return (
            f"{self.answers.total()} names in {self.seconds:.1f} s ({statuses})\n"
            f"memory: {self.before.memory / 1e6:.1f} MB before,"
            f" {self.memory / 1e6:.1f} MB at most;"
            f" child processes at most: {self.children},"
            f" descriptors: {self.files}\nothers:{others}\n"
            f"before: {self.before}\nafter:  {self.after}"
        )

    def check(self, names: int) -> None:
        """Say what must not be."""
        assert self.before
        assert self.after
        self.wrong += leaks(self.before, self.after)
        if self.answers.total() != names:
            self.wrong.append(f"of {names} names {self.answers.total()} were asked for")
        self.wrong += [
            f"{count} answers of status {status}"
            for status, count in self.answers.items()
            if status not in (LEFT, 200, 404, 429)
        ]
        if self.memory > self.before.memory + MOST:
            self.wrong.append(f"it took {self.memory / 1e6:.1f} MB")
        if self.children > CHILDREN:
            self.wrong.append(f"{self.children} processes ran at once")


async def pour(daemon: Daemon, names: int, at_once: int, seconds: float) -> Flood:
    """Flood a daemon with so many names, in so many seconds if that is not 0."""
    found = Flood()
    rng = random.Random(1)
    wanted = no_such_names(rng, names)
    # One of fifty is there, as far as there are packages.
    wanted[::50] = [f"n{rng.choice(_TO_BUILD)}/n{n % 100}" for n in range(0, names, 50)]
    found.before = await trio.to_thread.run_sync(take, daemon)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_measure, daemon, found)
        async with trio.open_nursery() as others:
            others.start_soon(_others, daemon, found)
            began = trio.current_time()
            pace = seconds * at_once / names or math.inf
            await flood(daemon.port, wanted, found.answers, at_once=at_once, pace=pace)
            found.seconds = trio.current_time() - began
            while len(found.waits) < len(_OTHERS):  # noqa: ASYNC110  builds queue
                await trio.sleep(0.05)
            others.cancel_scope.cancel()
        before = found.before
        found.after = await take_when(
            daemon, lambda taken: not leaks(before, taken), patience=120
        )
        nursery.cancel_scope.cancel()
    found.check(names)
    return found


async def _measure(daemon: Daemon, found: Flood) -> None:
    pid = daemon.process.pid
    while True:
        found.memory = max(found.memory, memory_of(pid))
        found.children = max(found.children, count_children(pid))
        found.files = max(found.files, count_files(pid))
        await trio.sleep(0.02)


async def _others(daemon: Daemon, found: Flood) -> None:
    async with (
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{daemon.port}",
            trust_env=False,
            follow_redirects=True,
            timeout=60,
            headers={"accept": MANIFEST_TYPE, "user-agent": "docker/29"},
        ) as http,
        trio.open_nursery() as nursery,
    ):
        for kind, paths in _OTHERS.items():
            nursery.start_soon(_ask, http, kind, paths, found)


async def _ask(
    http: httpx.AsyncClient, kind: str, paths: Iterable[str], found: Flood
) -> None:
    for path in paths:
        began = trio.current_time()
        answer = await http.get(path)
        if answer.status_code != 200:
            found.wrong.append(f"{kind}: {path} {answer.status_code} {answer.text}")
        found.waits.setdefault(kind, []).append(trio.current_time() - began)
        await trio.sleep(0.1)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make flood", description=__doc__)
    parser.add_argument("--names", type=int, default=10_000)
    parser.add_argument("--at-once", type=int, default=200, help="connections")
    parser.add_argument("--seconds", type=float, default=60, help="0: wait for answers")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, few_builds(Path(place)) as daemon:
        found = trio.run(pour, daemon, chosen.names, chosen.at_once, chosen.seconds)
        if "Traceback" in daemon.process.output:
            found.wrong.append(f"a traceback: {daemon.process.output[-3000:]}")
    print(found.snapshot())
    for what in found.wrong:
        print(f"WRONG {what}")
    if not found.wrong:
        print("nobody else noticed, nothing is left")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
