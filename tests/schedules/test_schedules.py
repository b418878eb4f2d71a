"""Whatever the order of all who write to the cache: the index names what is there."""

import logging
import os
import random
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pytest
import structlog
import trio
import trio.testing

from nixeryd.store.blobs import Blobs
from nixeryd.store.datadir import open_data_dir
from nixeryd.store.index import open_index
from tests.schedules.scheduler import Scheduler, run
from tests.schedules.world import BUILT, MIRRORED, World

# 10,000 take two minutes of both cores; what was found, was found within 50.
COUNT = int(os.environ.get("NIXERYD_SCHEDULES", "4000"))
_BEGINNINGS = (0, 0, 5, 20, 40, 60)  # turns of the other tasks, before a deed
Deed = tuple[str, ...]
T = TypeVar("T")


def choose(rng: random.Random) -> list[Deed]:
    """Choose what is done at once."""
    deeds: list[Deed] = []
    for _ in range(rng.randint(2, 3)):
        match rng.randrange(8):
            case 0 | 1:
                how = rng.choice(("packed", "streamed"))
                deeds.append(("build", rng.choice(sorted(BUILT)), how))
            case 2 | 3:
                deeds.append(("pull", rng.choice(sorted(MIRRORED))))
            case 4:
                deeds.append(("evict", rng.choice(("0", "3000"))))
            case 5:
                deeds.append(("remove", str(rng.randrange(9))))
            case _:
                deeds.append(("discard", str(rng.randrange(99))))
    return deeds


async def play(scheduler: Scheduler, world: World, deeds: list[Deed]) -> None:
    """Do all that at once, and see that the index is right all the time."""
    world.reset()
    scheduler.on_stop = world.check

    async def do(what: str, name: str, *rest: str) -> None:
        for _ in range(scheduler.random.choice(_BEGINNINGS)):
            await trio.lowlevel.checkpoint()
        match what:
            case "build":
                await world.build(name, stream=rest == ("streamed",))
            case "pull":
                await world.pull(name)
            case "evict":
                await world.evict(int(name))
            case "remove":
                await world.remove(int(name))
            case "discard":
                await world.discard(int(name))

    async with trio.open_nursery() as nursery:
        for deed in deeds:
            nursery.start_soon(do, *deed, name=" ".join(deed))
    world.check()


async def fails(
    scheduler: Scheduler, world: World, seed: str, deeds: list[Deed] | None = None
) -> str | None:
    """Say what goes wrong in a schedule, and how it came to that."""
    scheduler.begin(seed)
    chosen = choose(scheduler.random)
    try:
        await play(scheduler, world, deeds := chosen if deeds is None else deeds)
    except* Exception as group:  # noqa: BLE001  it is told
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        steps = "\n".join(scheduler.trace)
        told = f"seed {seed}, {deeds}: {error!r}, after\n{steps}"
    else:
        return None
    return told


async def shrink(scheduler: Scheduler, world: World, seed: str, told: str) -> str:
    """Find fewer deeds that fail, with whatever seed."""
    scheduler.begin(seed)
    deeds = choose(scheduler.random)
    left = list(deeds)
    for deed in deeds:
        fewer = [one for one in left if one is not deed]
        for attempt in range(300):
            found = await fails(scheduler, world, f"{seed}/{attempt}", fewer)
            if found is not None:
                left, told = fewer, found
                break
    return told


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory in memory, if there can be one: a disk would only take longer."""
    memory = Path("/dev/shm")
    above = memory if os.access(memory, os.W_OK) else None
    with TemporaryDirectory(prefix="nixeryd-", dir=above) as place:
        yield Path(place) / "data"


def on_a_cache(place: Path, main: Callable[[Scheduler, World], Awaitable[T]]) -> T:
    """Run `main` under a scheduler, with a cache."""
    scheduler = Scheduler()
    quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=quiet)
    with open_data_dir(place) as places, open_index(places.index) as index:
        blobs = Blobs(places.blobs, places.staging, index.blob_size)
        world = World(scheduler, places.root, blobs, index)

        async def begin() -> T:
            scheduler.begin("prepare")
            await world.prepare()
            return await main(scheduler, world)

        try:
            return run(scheduler, begin)
        finally:
            structlog.reset_defaults()


def first_failure(place: Path, seeds: range) -> str | None:
    """Try all these seeds; tell how the first one fails that does."""

    async def main(scheduler: Scheduler, world: World) -> str | None:
        for seed in map(str, seeds):
            if (told := await fails(scheduler, world, seed)) is not None:
                return await shrink(scheduler, world, seed, told)
        return None

    return on_a_cache(place, main)


def test_the_index_names_what_is_there_whatever_the_schedule(place):
    processes = os.cpu_count() or 1
    place.mkdir()
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        runs = [
            pool.submit(first_failure, place / f"{n}", range(n, COUNT, processes))
            for n in range(processes)
        ]
        told = [run.result() for run in runs]
    assert told == [None] * processes, told


def test_the_same_seed_is_the_same_schedule(place):
    async def main(scheduler: Scheduler, world: World) -> list[list[str]]:
        traces = []
        for seed in ("3", "8", "3"):
            await fails(scheduler, world, seed)
            traces.append(list(scheduler.trace))
        return traces

    first, other, again = on_a_cache(place, main)
    assert first == again != other


@pytest.mark.parametrize(
    "deeds",
    [
        [("pull", "x"), ("evict", "0")],
        [("build", "a", "packed"), ("discard", "1")],
        [("build", "a", "streamed"), ("pull", "x")],
        [("pull", "x"), ("remove", "0"), ("pull", "x")],
    ],
    ids=lambda deeds: ", ".join(" ".join(deed) for deed in deeds),
)
def test_what_once_lost_a_blob_loses_none(place, deeds):
    async def main(scheduler: Scheduler, world: World) -> str | None:
        for seed in range(200):
            if (told := await fails(scheduler, world, f"{seed}", deeds)) is not None:
                return told
        return None

    told = on_a_cache(place, main)
    assert told is None, told
