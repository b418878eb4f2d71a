"""`python -m tests.torture.soak`: mixed traffic for half an hour; nothing may grow.

Spells of traffic: pulls of built and of mirrored images, an upstream that lies, edits,
a cap that changes, evictions, pins, readers that are slow, connections that are half
open, floods of names, watchers of events. After each all clients leave, and what the
quiet daemon then has is measured: memory, descriptors, tasks, processes. The first
third may warm up; from there to the last third nothing may have become more.
"""

import argparse
import random
import re
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import trio

from tests.e2e.serving import Daemon
from tests.torture.care import tend
from tests.torture.crowd import HALF_OPEN, flood, no_such_names, open_crowd
from tests.torture.gauges import Taken, leaks, metric, take
from tests.torture.invariants import broken
from tests.torture.ledger import Ledger
from tests.torture.traffic import Broken, Clients, Wrong, make_traffic
from tests.torture.world import World, open_world

SPELL = 45.0  # seconds of traffic between two measurements
TENDED = 1.0  # seconds at most between two things that a user does to the cache
MAY_GROW = 0.10  # of the memory, and:
MAY_GROW_BYTES = 12_000_000
_PATIENCE = 120  # seconds until a daemon that nobody asks must be quiet


@dataclass
class Soak:
    """What was sent, what was measured, and what is wrong."""

    ledger: Ledger = field(default_factory=Ledger)
    answers: Counter[int] = field(default_factory=Counter)
    crowds: int = 0
    samples: list[Taken] = field(default_factory=list)

    def counts(self, lies: int) -> str:
        statuses = ", ".join(f"{k}: {n}" for k, n in sorted(self.answers.items()))
        return (
            f"{self.ledger.counts(lies)}, connections held: {self.crowds},"
            f" names in floods: {self.answers.total()} (by status {statuses})"
        )

    def missing(self) -> list[str]:
        """Say what was no part of the traffic, though it should be."""
        did = {
            "builds": self.ledger.builds,
            "evictions": self.ledger.evicted,
            "pulls": self.ledger.pulls,
            "floods": self.answers.total(),
        }
        return [f"there were no {what}" for what, count in did.items() if not count]

    def growth(self) -> list[str]:
        """Say what became more from the second third to the last."""
        third = len(self.samples) // 3
        if not third:
            return ["too short to tell"]
        middle, last = self.samples[third : 2 * third], self.samples[-third:]
        found = leaks(_most(middle), _least(last))
        before = statistics.median(one.memory for one in middle)
        after = statistics.median(one.memory for one in last)
        if after > before * (1 + MAY_GROW) + MAY_GROW_BYTES:
            found.append(f"memory: {before / 1e6:.1f} MB, then {after / 1e6:.1f} MB")
        return found


def _most(samples: Sequence[Taken]) -> Taken:
    return Taken(*(max(column) for column in zip(*map(_row, samples), strict=True)))


def _least(samples: Sequence[Taken]) -> Taken:
    return Taken(*(min(column) for column in zip(*map(_row, samples), strict=True)))


def _row(taken: Taken) -> tuple[int, ...]:
    return (taken.memory, taken.files, taken.threads, taken.processes, taken.tasks)


async def soak(
    place: Path, seed: int, minutes: float, say: Callable[[str], None]
) -> list[str]:
    """Make traffic for so long; give what was lost or has grown."""
    found = Soak()
    async with open_world(place, seed) as world:
        daemon = await trio.to_thread.run_sync(world.wait_until_ready, world.start())
        try:
            await _spells(daemon, world, found, seed, minutes, say)
        except* Wrong as group:
            for error in group.exceptions:
                found.ledger.lose(repr(error))
        finally:
            with trio.CancelScope(shield=True):
                code = await trio.to_thread.run_sync(daemon.process.end)
        if code != 0 or "Traceback" in daemon.process.output:
            found.ledger.lose(f"ended with {code}: {daemon.process.output[-3000:]}")
        for what in broken(daemon.data):
            found.ledger.lose(what)
        say(f"seed: {seed}, {found.counts(world.lies.told)}")
    return [*found.ledger.losses, *found.missing(), *found.growth()]


async def _spells(  # noqa: PLR0917  one loop, and all that it goes round
    daemon: Daemon,
    world: World,
    found: Soak,
    seed: int,
    minutes: float,
    say: Callable[[str], None],
) -> None:
    began = trio.current_time()
    number = 0
    while trio.current_time() - began < minutes * 60:
        rng = random.Random(f"{seed} {number}")
        with trio.move_on_after(SPELL):
            await _traffic(daemon, world, found, rng)
        with trio.fail_after(_PATIENCE):
            await _wait_until_quiet(daemon)
        found.samples.append(await trio.to_thread.run_sync(take, daemon))
        number += 1
        _count(daemon.process.lines, found.ledger)
        passed = trio.current_time() - began
        say(f"{passed / 60:5.1f} min  {found.samples[-1]}")


def _count(lines: list[str], ledger: Ledger) -> None:
    """Count what the daemon said of its work, and drop it: it would fill us."""
    count = len(lines)  # more may come meanwhile
    text = "\n".join(lines[:count])
    del lines[:count]
    ledger.builds += len(re.findall(r"\bcached=False\b", text))
    ledger.evicted += len(re.findall(r"\bevicted\b", text))
    if "Traceback" in text:
        ledger.lose(f"a traceback: {text[-3000:]}")


async def _traffic(
    daemon: Daemon, world: World, found: Soak, rng: random.Random
) -> None:
    async with open_crowd(daemon) as crowd, trio.open_nursery() as nursery:
        nursery.start_soon(make_traffic, daemon, world, found.ledger, rng)
        # All that is pulled here is leased for longer than a spell: nothing goes for
        # the cap alone, only when somebody asks for room.
        care = random.Random(rng.random())
        nursery.start_soon(tend, daemon, found.ledger, care, TENDED)
        nursery.start_soon(_watch, daemon)
        names = no_such_names(rng, rng.randrange(100, 5000))
        at_once = rng.randrange(20, 300)
        nursery.start_soon(
            partial(flood, daemon.port, names, found.answers, at_once=at_once)
        )
        for kind in HALF_OPEN:
            await crowd.half_open(kind, rng.randrange(30))
        await crowd.slow_readers("/v2/quay.io/owner/app1/tags/list", rng.randrange(30))
        path = await _large_blob(daemon, found.ledger)
        await crowd.slow_readers(path, rng.randrange(30))
        found.crowds += len(crowd.streams)


async def _large_blob(daemon: Daemon, ledger: Ledger) -> str:
    async with Clients(daemon, ledger) as clients:
        with suppress(Broken, httpx.HTTPError):
            await clients.pull("big")
    digest = ledger.pulled.get("big", "none")
    answer = await trio.to_thread.run_sync(daemon.ask, f"/v2/big/manifests/{digest}")
    if answer.status != 200:
        return "/v2/"  # evicted already
    largest = max(answer.json["layers"], key=lambda layer: layer["size"])
    return f"/v2/big/blobs/{largest['digest']}"


async def _watch(daemon: Daemon) -> None:
    """Watch as some pages that are left open do."""
    url = f"http://127.0.0.1:{daemon.port}/api/v1/events"

    async def page(http: httpx.AsyncClient) -> None:
        with suppress(httpx.HTTPError):
            async with http.stream("GET", url) as stream:
                async for _ in stream.aiter_raw():
                    pass

    async with (
        httpx.AsyncClient(trust_env=False, timeout=None) as http,
        trio.open_nursery() as nursery,
    ):
        for _ in range(3):
            nursery.start_soon(page, http)


async def _wait_until_quiet(daemon: Daemon) -> None:
    """Wait until what was begun has ended, and who left is noticed."""
    names = ("nixeryd_builds", "nixeryd_builds_queued", "nixeryd_downloads")
    tasks = -1
    while True:
        busy = [await trio.to_thread.run_sync(metric, daemon, name) for name in names]
        now = await trio.to_thread.run_sync(metric, daemon, "nixeryd_tasks")
        if not any(busy) and now == tasks:
            return
        tasks = now
        await trio.sleep(1.5)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as place:
        say = partial(print, flush=True)
        wrong = trio.run(soak, Path(place), chosen.seed, chosen.minutes, say)
    for what in wrong:
        print(f"WRONG {what}")
    if not wrong:
        print("nothing has grown, nothing was lost")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
