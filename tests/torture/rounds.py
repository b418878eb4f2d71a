"""Rounds: start, look, make traffic, kill; and again.

In each round the daemon is killed at a random moment, sometimes while it starts; often
the disk loses its power at the same moment. Then the disk is looked at, and after the
next start what had been pulled is pulled again and must be the same bytes.
"""

import hashlib
import random
import re
import shutil
import tempfile
import traceback
from collections.abc import Callable, Set as AbstractSet
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import httpx
import trio

from tests.e2e.serving import Daemon, data_dir
from tests.torture.care import Care, tend
from tests.torture.disk import LossyDisk, lossy_disk, why_not
from tests.torture.invariants import broken, is_here, left_over, lost_pins
from tests.torture.ledger import Ledger
from tests.torture.traffic import Broken, Clients, Wrong, make_traffic
from tests.torture.world import World, open_world

MEAN = 60  # requests before a kill, however fast the machine
LONGEST = 30  # seconds that they may take
CUTS = 0.5  # of the kills take the disk's power too
ROT = 0.15  # of the rounds begin with blobs that are not as they were
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
            try:
                for number in range(rounds):
                    await _round(world, disk, ledger, random.Random(f"{seed} {number}"))
                    ledger.rounds += 1
                    say(f"{number + 1}/{rounds} {ledger.counts(world.lies.told)}")
                    if ledger.losses:
                        break
                await _end(world, ledger)
            except Exception as error:  # noqa: BLE001  it is no pass
                told = "".join(traceback.format_exception(error))
                ledger.lose(f"the torture itself broke off: {told}")
            if ledger.losses:
                keep(place)
        return ledger, ledger.counts(world.lies.told)


def keep(place: Path) -> None:
    """Copy what a loss may be understood from: the disk goes with the torture."""
    kept = Path(tempfile.mkdtemp(prefix="torture-lost-"))
    try:
        sockets = shutil.ignore_patterns("*.sock")
        shutil.copytree(place, kept / "place", symlinks=True, ignore=sockets)
    except (OSError, shutil.Error) as error:
        print(f"not all could be kept: {error}")
    print(f"what is left is in {kept}")


def _disk(place: Path, seed: int) -> AbstractContextManager[LossyDisk | None]:
    return nullcontext() if why_not() else lossy_disk(place, seed)


async def _round(
    world: World, disk: LossyDisk | None, ledger: Ledger, rng: random.Random
) -> None:
    is_cut = rng.random() < CUTS
    is_short = rng.random() < 0.1
    rotten = (
        rot(data_dir(world.place), rng)
        if not is_short and rng.random() < ROT
        else set()
    )
    daemon = world.start()
    try:
        if is_short:
            await trio.sleep(rng.uniform(0, 1))
        else:
            await _live(daemon, world, ledger, rng, rotten)
    finally:
        await trio.to_thread.run_sync(daemon.process.kill)
    if disk is not None and is_cut:
        await trio.to_thread.run_sync(disk.cut_power)
        ledger.power_cuts += 1
        bury(daemon.data, ledger.unseen)
    else:
        ledger.kills += 1
    ledger.hear(daemon.process.lines)
    ledger.evicted += len(re.findall(r"\bevicted\b", daemon.process.output))
    ledger.builds += len(re.findall(r"\bcached=False\b", daemon.process.output))
    for line in re.findall(r".*\ba blob was damaged\b.*", daemon.process.output):
        if not any(digest in line for digest in rotten):
            ledger.lose(f"found rotten, and nobody had it rot: {line}")
    if (at := daemon.process.output.find("Traceback")) >= 0:
        ledger.lose(f"a traceback: {daemon.process.output[max(0, at - 500) :][:6000]}")
    for what in broken(daemon.data):
        ledger.lose(f"after a {'power cut' if is_cut else 'kill'}: {what}")
    for what in lost_pins(
        daemon.data, {name: ledger.pulled[name] for name in ledger.kept}
    ):
        ledger.lose(f"after a {'power cut' if is_cut else 'kill'}: {what}")


def rot(data: Path, rng: random.Random) -> set[str]:
    """Damage some blobs; give their digests."""
    paths = sorted(data.glob("blobs/sha256/??/" + "?" * 64))  # recipes are no bytes
    chosen = rng.sample(paths, min(3, len(paths)))
    for path in chosen:
        body = bytearray(path.read_bytes() or b"x")
        body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
        path.write_bytes(body[: rng.choice((len(body), len(body) // 2))])
    (data / "checked.json").unlink(missing_ok=True)  # so that the daemon looks as well
    return {f"sha256:{path.name}" for path in chosen}


def bury(data: Path, digests: AbstractSet[str]) -> int:
    """Remove those of these blobs that are rotten; tell how many."""
    buried = 0
    for name in (digest.removeprefix("sha256:") for digest in digests):
        path = data / "blobs" / "sha256" / name[:2] / name
        if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() != name:
            path.unlink()
            buried += 1
    return buried


async def _live(
    daemon: Daemon,
    world: World,
    ledger: Ledger,
    rng: random.Random,
    rotten: AbstractSet[str],
) -> None:
    daemon = await _start(daemon, world, ledger)
    try:
        if rotten:
            await _mend(daemon, ledger, rotten)
        await _pull_again(daemon, world, ledger, rng, PULLED_AGAIN)
        enough = ledger.requests + min(rng.expovariate(1 / MEAN), 4 * MEAN)
        with trio.move_on_after(LONGEST):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(
                    make_traffic, daemon, world, ledger, random.Random(rng.random())
                )
                nursery.start_soon(tend, daemon, ledger, random.Random(rng.random()))
                while ledger.requests < enough:  # noqa: ASYNC110  at any moment
                    await trio.sleep(rng.uniform(0, 0.1))
                nursery.cancel_scope.cancel()
    except* Wrong as group:
        for error in group.exceptions:
            ledger.lose(repr(error))


async def _start(daemon: Daemon, world: World, ledger: Ledger) -> Daemon:
    ready = await trio.to_thread.run_sync(world.wait_until_ready, daemon)
    # Only what an earlier daemon left: this one may be making room by now.
    for name in world.staged.intersection(left_over(ready.data)):
        ledger.lose(f"after a start: {name} is staged")
    return ready


async def _mend(daemon: Daemon, ledger: Ledger, rotten: AbstractSet[str]) -> None:
    """Have verify find what is rotten and nothing else.

    Unless it was evicted, or the daemon has found it by itself meanwhile.
    """
    ledger.rotten += len(rotten)
    ledger.kept.clear()  # what was pinned is built or fetched again: other names
    async with (
        Clients(daemon, ledger) as clients,
        Care(daemon, ledger, clients) as care,
    ):
        found = await care.verify()
        left = {
            digest for digest in rotten - found.keys() if is_here(daemon.data, digest)
        }
    told = daemon.process.output  # by the daemon, of what it found
    ledger.unseen |= {one for one in rotten - found.keys() if one not in told}
    if found.keys() - rotten or left:
        raise Wrong(f"of the rotten {rotten} verify found {found}")


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
        for name in sorted(ledger.kept)[:1]:
            world.lies.silent = True
            try:
                await clients.pull(name)
            except (Broken, httpx.HTTPError) as error:
                ledger.lose(f"{name} is pinned, and can't be pulled offline: {error!r}")
            world.lies.silent = False
    world.lies.on = True


async def _end(world: World, ledger: Ledger) -> None:
    """Pull all again from a last daemon, which then ends by itself."""
    daemon = world.start()
    try:
        ready = await _start(daemon, world, ledger)
        await _pull_again(ready, world, ledger, random.Random(0), len(ledger.pulled))
    except Wrong as error:
        ledger.lose(repr(error))
    finally:
        code = await trio.to_thread.run_sync(daemon.process.end)
    if code != 0:
        ledger.lose(f"the last daemon ended with {code}: {daemon.process.output}")
    for what in broken(daemon.data):
        ledger.lose(f"after an orderly end: {what}")
