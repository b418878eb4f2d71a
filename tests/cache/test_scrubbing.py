"""Scrubbing: rot is found and let go by itself, and nobody else notices."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from nixeryd.cache import scrubbing
from nixeryd.cache.eviction import Evictor
from nixeryd.cache.scrubbing import Scrubber
from nixeryd.images.digests import Digest
from tests.cache.test_verification import damage

DAY = 86400
GONE = (
    "a blob was damaged and is removed; there is nothing to do, the next pull by a tag"
    " brings it back"
)


@pytest.fixture
def make(shelf, monkeypatch):
    """A scrubber that rests after every chunk, for as long as it is busy."""

    def make(is_busy: Callable[[], bool] = lambda: False, **options) -> Scrubber:
        evictor = Evictor(
            shelf.blobs, shelf.index, shelf.index_path, shelf.uses, cap=None
        )
        place = shelf.root / "checked.json"
        return Scrubber(
            shelf.blobs,
            shelf.index_path,
            place,
            evictor.discard,
            is_busy=is_busy,
            rate=math.inf,
            **options,
        )

    monkeypatch.setattr(scrubbing, "_SLICE", 1)
    return make


@pytest.fixture
def scrub(make):
    """Make a pass; gives what was logged."""

    async def scrub(is_busy: Callable[[], bool] = lambda: False) -> list[dict]:
        with capture_logs() as logged:
            await make(is_busy).read_all()
        return [line for line in logged if line["log_level"] != "debug"]

    return scrub


def at_rest(number: int, act: Callable[[], object]) -> Callable[[], bool]:
    """Act at a rest; the first is before all, the next one when a chunk was read."""
    rests = 0

    def is_busy() -> bool:
        nonlocal rests
        rests += 1
        if rests == number:
            act()
        return False

    return is_busy


def rot(shelf, digest: Digest) -> bytes:
    """Change a byte, not the size; gives what it was."""
    body = shelf.blobs.read(digest)
    damage(shelf, digest, body[:-1] + bytes([body[-1] ^ 1]))
    return body


def loose(shelf, count: int) -> list[Digest]:
    """Make blobs that nobody needs, in the order in which they are read."""
    digests = [shelf.blobs.put(f"loose {number}".encode()) for number in range(count)]
    return sorted(digests, key=str)


def open_blobs(shelf) -> set[str]:
    """Return the names of the blobs that this process has open."""
    opened = [link.resolve() for link in Path("/proc/self/fd").iterdir()]
    places = [path for path in opened if path.is_relative_to(shelf.root / "blobs")]
    return {path.name for path in places}


async def test_a_good_cache_is_left_alone(shelf, make):
    shelf.image("one", "base", "a", used=1)
    before = shelf.blobs.listing()
    scrubber = make(now=lambda: 5.0)
    assert scrubber.checked is None
    with capture_logs() as logged:
        await scrubber.read_all()
    assert logged == []
    assert shelf.blobs.listing() == before
    assert shelf.names == {"one"}
    assert scrubber.checked == make().checked == 5.0


async def test_what_rots_is_let_go_with_what_needs_it_and_told(shelf, scrub):
    shelf.image("one", "base", "a", used=1)
    shelf.image("two", "base", "b", used=1)
    shelf.image("three", "c", used=1)
    layer = shelf.index.layer("base").digest
    rot(shelf, layer)
    (logged,) = await scrub()
    assert logged == {
        "event": GONE,
        "log_level": "warning",
        "blob": str(layer),
        "images": ["one:latest", "two:latest"],
    }
    assert shelf.names == {"three"}
    shelf.check()
    shelf.image("one", "base", "a", used=2)
    shelf.check()
    assert await scrub() == []


async def test_a_pin_outlives_the_rot(shelf, scrub):
    shelf.image("one", "a", used=1)
    (name,) = shelf.index.names.all()
    shelf.index.names.pin(name)
    rot(shelf, shelf.index.layer("a").digest)
    await scrub()
    assert shelf.names == set()
    shelf.image("one", "a", used=2)
    (name,) = shelf.index.names.all()
    assert name.pinned


async def test_a_stop_is_prompt_and_the_pass_goes_on_after_a_restart(
    shelf, make, scrub
):
    first, second, third = loose(shelf, 3)
    reading_second = trio.Event()
    resting = at_rest(3, reading_second.set)
    assert not open_blobs(shelf)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(make(lambda: resting() or reading_second.is_set()).run)
        await reading_second.wait()
        assert open_blobs(shelf) == {second.hex}
        nursery.cancel_scope.cancel()
    assert not open_blobs(shelf)
    bodies = {digest: rot(shelf, digest) for digest in (first, second, third)}
    logged = await scrub()
    assert [one["blob"] for one in logged] == [str(second), str(third)]
    assert first in shelf.blobs, "it was read before"
    logged = await scrub()
    assert [one["blob"] for one in logged] == [str(first)]
    assert list(map(shelf.blobs.put, bodies.values())) == [first, second, third]


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b'{"checked": 1',
        b"\xff",
        b'{"checked": 1, "after": "zzz"}',
        b'{"checked": "1"}',
    ],
)
async def test_a_note_that_is_no_good_costs_a_pass(shelf, scrub, make, note):
    (digest,) = loose(shelf, 1)
    rot(shelf, digest)
    (shelf.root / "checked.json").write_bytes(note)
    assert make().checked is None
    assert [one["blob"] for one in await scrub()] == [str(digest)]


async def test_a_note_that_cannot_be_written_stops_nothing(shelf, scrub):
    (digest,) = loose(shelf, 1)
    rot(shelf, digest)
    (shelf.root / "checked.json").mkdir()
    events = [one["event"] for one in await scrub()]
    assert events == [GONE, "what was checked cannot be noted"]
    assert not (shelf.root / "checked.json.part").exists()


@pytest.mark.parametrize("is_rotten", [False, True])
async def test_what_is_evicted_while_it_is_read_is_no_error(shelf, scrub, is_rotten):
    digests = loose(shelf, 2)
    if is_rotten:
        rot(shelf, digests[0])

    def evict() -> None:
        for path in shelf.blobs.discard(digests):
            path.unlink()

    assert await scrub(at_rest(2, evict)) == []
    assert shelf.blobs.listing() == {}


async def test_what_is_right_when_read_again_stays(shelf, scrub):
    (digest,) = loose(shelf, 1)
    body = rot(shelf, digest)
    assert await scrub(at_rest(2, lambda: damage(shelf, digest, body))) == []
    assert shelf.blobs.read(digest) == body


async def test_what_cannot_be_read_stays_and_is_told(shelf, scrub):
    first, second, third = loose(shelf, 3)
    shelf.blobs.path(second).unlink()
    shelf.blobs.path(second).mkdir()
    rot(shelf, third)
    unreadable, gone = await scrub()
    assert unreadable["event"] == "a blob cannot be checked, and stays"
    assert unreadable["blob"] == str(second)
    assert unreadable["why"] == "cannot be read: Is a directory"
    assert gone["blob"] == str(third)
    assert first in shelf.blobs
    assert shelf.blobs.path(second).is_dir()


async def test_what_does_not_let_go_is_read_again_later(shelf, make, monkeypatch):
    first, second = loose(shelf, 2)
    rot(shelf, second)
    scrubber = make()
    tried = trio.Event()

    async def refuse(blobs) -> None:
        await trio.lowlevel.checkpoint()
        tried.set()
        raise OSError(f"no {blobs}")

    scrubber._discard = refuse
    with capture_logs() as logged:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scrubber.run)
            await tried.wait()
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert [one["event"] for one in logged] == ["blobs cannot be checked now"]
    note = json.loads((shelf.root / "checked.json").read_bytes())
    assert note["after"] == str(first)


@pytest.mark.parametrize(
    ("note", "wait"),
    [
        ({}, 0),
        ({"checked": 100 * DAY}, 7 * DAY),
        ({"checked": 95 * DAY}, 2 * DAY),
        ({"checked": 93 * DAY}, 0),
        ({"checked": 99 * DAY, "after": f"sha256:{'0' * 64}"}, 0),
        ({"checked": 101 * DAY}, 0),  # a clock that was set back proves nothing
    ],
)
def test_a_pass_begins_a_week_after_the_last_one(shelf, make, note, wait):
    (shelf.root / "checked.json").write_text(json.dumps(note))
    assert max(0, make(now=lambda: 100 * DAY)._wait()) == wait


async def test_between_two_passes_nothing_is_done(shelf, make, mock_clock, monkeypatch):
    passes = [trio.Event(), trio.Event()]
    ended = trio.Event()
    listing = shelf.blobs.listing

    def list_and_tell(part: str):
        if part == "00":
            trio.from_thread.run_sync(lambda: next(unset()).set())
        return listing(part)

    def unset():
        return (event for event in passes if not event.is_set())

    def now() -> float:
        # Asked before each pass, and when it has ended.
        if passes[0].is_set():
            ended.set()
        return 1e9 + trio.current_time()

    monkeypatch.setattr(shelf.blobs, "listing", list_and_tell)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(make(now=now).run)
        await ended.wait()
        for _ in range(6):
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(DAY)
        await trio.testing.wait_all_tasks_blocked()
        assert not passes[1].is_set()
        mock_clock.jump(DAY)
        await passes[1].wait()
        nursery.cancel_scope.cancel()
