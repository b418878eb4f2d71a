"""Rounds: start, look, make traffic, kill; and again.

In each round the daemon is killed at a random moment, sometimes while it starts; often
the disk loses its power at the same moment. Then the disk is looked at, and after the
next start what had been pulled is pulled again and must be the same bytes.
"""

import random
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

import httpx
import trio

from tests.e2e.serving import Daemon
from tests.torture.disk import LossyDisk, lossy_disk, why_not
from tests.torture.invariants import broken, left_over
from tests.torture.ledger import Ledger
from tests.torture.traffic import Broken, Clients, Wrong, make_traffic
from tests.torture.world import World, open_world

MEAN = 1.5  # seconds of traffic before a kill
CUTS = 0.5  # of the kills take the disk's power too
PULLED_AGAIN = 4  # of the images, in each round; all of them at the end


async def torture(
    place: Path,
    seed: int,
    rounds: int,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[Ledger, str]:
    """Go through so many rounds; give the ledger, and its line of counts."""
    ledger = Ledger()
    async with open_world(place, seed) as world:
        with _disk(place / "data", seed) as disk:
            for number in range(rounds):
                await _round(world, disk, ledger, random.Random(f"{seed} {number}"))
                say(f"{number + 1}/{rounds} {ledger.counts(world.lies.told)}")
                if ledger.losses:
                    break
            await _end(world, ledger)
        return ledger, ledger.counts(world.lies.told)


def _disk(place: Path, seed: int) -> AbstractContextManager[LossyDisk | None]:
    return nullcontext() if why_not() else lossy_disk(place, seed)


async def _round(
    world: World, disk: LossyDisk | None, ledger: Ledger, rng: random.Random
) -> None:
    is_cut = rng.random() < CUTS
    daemon = world.start()
    try:
        if rng.random() < 0.1:
            await trio.sleep(rng.uniform(0, 1))
        else:
            await _live(daemon, world, ledger, rng)
    finally:
        await trio.to_thread.run_sync(daemon.process.kill)
    if disk is not None and is_cut:
        await trio.to_thread.run_sync(disk.cut_power)
        ledger.power_cuts += 1
    else:
        ledger.kills += 1
    ledger.evicted += len(re.findall(r"\bevicted\b", daemon.process.output))
    ledger.builds += len(re.findall(r"\bcached=False\b", daemon.process.output))
    if "Traceback" in daemon.process.output:
        ledger.lose(f"a traceback: {daemon.process.output[-3000:]}")
    for what in broken(daemon.data):
        ledger.lose(f"after a {'power cut' if is_cut else 'kill'}: {what}")


async def _live(
    daemon: Daemon, world: World, ledger: Ledger, rng: random.Random
) -> None:
    daemon = await _start(daemon, world, ledger)
    try:
        await _pull_again(daemon, world, ledger, rng, PULLED_AGAIN)
        with trio.move_on_after(min(rng.expovariate(1 / MEAN), 4 * MEAN)):
            await make_traffic(daemon, world, ledger, rng)
    except* Wrong as group:
        for error in group.exceptions:
            ledger.lose(repr(error))


async def _start(daemon: Daemon, world: World, ledger: Ledger) -> Daemon:
    ready = await trio.to_thread.run_sync(world.wait_until_ready, daemon)
    # Only what an earlier daemon left: this one may be making room by now.
    for name in world.staged.intersection(left_over(ready.data)):
        ledger.lose(f"after a start: {name} is staged")
    return ready


async def _pull_again(
    daemon: Daemon, world: World, ledger: Ledger, rng: random.Random, most: int
) -> None:
    """Pull what was pulled before; with an upstream that does not lie now."""
    world.lies.on = False
    names = rng.sample(sorted(ledger.pulled), min(most, len(ledger.pulled)))
    async with Clients(daemon, ledger) as clients:
        for name in names:
            try:
                await clients.pull(name)
            except (Broken, httpx.HTTPError) as error:
                ledger.lose(f"{name} can't be pulled again: {error!r}")
    world.lies.on = True


async def _end(world: World, ledger: Ledger) -> None:
    """Pull all again from a last daemon, which then ends by itself."""
    daemon = world.start()
    try:
        ready = await _start(daemon, world, ledger)
        with suppress(Wrong):
            rng = random.Random(0)
            await _pull_again(ready, world, ledger, rng, len(ledger.pulled))
    finally:
        code = await trio.to_thread.run_sync(daemon.process.end)
    if code != 0:
        ledger.lose(f"the last daemon ended with {code}: {daemon.process.output}")
    for what in broken(daemon.data):
        ledger.lose(f"after an orderly end: {what}")
