"""Turns: what waits holds nothing, and what is too much is refused."""

from contextlib import ExitStack, suppress

import pytest
import trio
import trio.testing

from nixeryd.builder import build_queue
from nixeryd.builder.build_queue import Abandoned, TooMany
from nixeryd.images.errors import RegistryError
from nixeryd.runtime.flight import Stopping, Waiters
from tests.builder.conftest import open_builder

THREE = "".join(f'{name} = make "{name}" "echo > $out"; ' for name in "abc")


@pytest.fixture
async def busy(nix, write_set, tmp_path, monkeypatch):
    """A builder whose only turn is taken, and where two may wait."""
    monkeypatch.setattr(build_queue, "WAITING", 2)
    source = write_set(THREE)
    async with open_builder(nix, source, tmp_path / "data") as builder:
        builder.turns.set(1)
        yield builder


async def wait_for_queue(builder, count):
    while sum(run.is_queued for run in builder.runs()) < count:
        await trio.lowlevel.checkpoint()
    await trio.testing.wait_all_tasks_blocked()


async def test_builds_wait_for_their_turn_and_hold_nothing(busy, tmp_path):
    made = []

    async def pull(name):
        made.append(await busy.manifest((name,), "latest"))

    async with trio.open_nursery() as nursery, busy.turns.one():
        for name in ("a", "b"):
            nursery.start_soon(pull, name)
        await wait_for_queue(busy, 2)
        assert not list((tmp_path / "data" / "gcroots").iterdir())
        assert not list((tmp_path / "data" / "logs").iterdir())
        with pytest.raises(RegistryError, match=r"nix\.max_builds") as refused:
            await busy.manifest(("c",), "latest")
        assert refused.value.status == 429
        assert made == []
    assert len(made) == 2
    assert busy.runs() == []
    await busy.manifest(("c",), "latest")  # nothing of the refusal is left


async def test_who_wants_what_waits_waits_with_it(busy):
    async with trio.open_nursery() as nursery, busy.turns.one():
        for _ in range(5):
            nursery.start_soon(busy.manifest, ("a",), "latest")
        await wait_for_queue(busy, 1)
        assert len(busy.runs()) == 1


async def test_what_waits_does_not_hold_up_the_end(busy):
    async def pull():
        with pytest.raises(Stopping):
            await busy.manifest(("a",), "latest")

    async with trio.open_nursery() as nursery, busy.turns.one():
        nursery.start_soon(pull)
        await wait_for_queue(busy, 1)
        busy.stop(finish=True)
        while busy.runs():
            await trio.lowlevel.checkpoint()


async def test_who_asks_for_much_does_not_hold_up_another_client(busy, monkeypatch):
    monkeypatch.setattr(build_queue, "WAITING", 100)
    order = []

    async def wait(name, client):
        waiters = Waiters()
        with waiters.added(client):
            async with busy.turns.one(waiters):
                order.append(name)

    async with trio.open_nursery() as nursery, busy.turns.one():
        for number in range(4):
            nursery.start_soon(wait, f"crawler {number}", "")
            await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(wait, "docker", "docker")
        await trio.testing.wait_all_tasks_blocked()
    assert order[:2] == ["crawler 0", "docker"]
    assert order[2:] == [f"crawler {number}" for number in range(1, 4)]


async def test_what_nobody_waits_for_is_not_begun_and_gives_up_its_place(
    busy, autojump_clock
):
    order = []

    async def wait(name, waiters):
        try:
            async with busy.turns.one(waiters):
                order.append(name)
        except Abandoned:
            order.append(f"{name} is dropped")

    async with trio.open_nursery() as nursery, busy.turns.one():
        for number in range(2):
            nursery.start_soon(wait, f"left {number}", Waiters())
            await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(TooMany):
            busy.turns.check()  # who waited may be on the way back
        await trio.sleep(build_queue.ABANDONED + 1)
        busy.turns.check()
        nursery.start_soon(wait, "new", Waiters())
        nursery.start_soon(wait, "left again", Waiters())
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(order) == ["left 0 is dropped", "left 1 is dropped"]
        order.clear()
        await trio.sleep(build_queue.ABANDONED - 1)
    assert sorted(order) == ["left again", "new"]


async def test_who_left_is_in_nobodys_way(busy, autojump_clock):
    """Nor if new ones come and leave all the time."""
    order = []

    async def wait(name, client=None):
        waiters = Waiters()
        with suppress(Abandoned), ExitStack() as stack:
            if client is not None:
                stack.enter_context(waiters.added(client))
            async with busy.turns.one(waiters):
                order.append(name)

    async with trio.open_nursery() as nursery, busy.turns.one():
        nursery.start_soon(wait, "left first")
        await trio.sleep(build_queue.ABANDONED_IF_FULL / 2)
        nursery.start_soon(wait, "left")
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(TooMany):
            busy.turns.check()
        await trio.sleep(build_queue.ABANDONED_IF_FULL / 2)
        busy.turns.check()
        nursery.start_soon(wait, "docker", "docker")
        await trio.testing.wait_all_tasks_blocked()
    assert order == ["docker", "left"]


async def test_a_turn_that_is_cancelled_is_given_back(busy):
    for _ in range(3):
        with trio.CancelScope() as scope:
            scope.cancel()
            async with busy.turns.one():
                pass
    with trio.CancelScope() as scope:
        async with busy.turns.one(), trio.open_nursery() as nursery:
            nursery.start_soon(busy.manifest, ("a",), "latest")
            await wait_for_queue(busy, 1)
            scope.cancel()
    with trio.fail_after(20):
        async with busy.turns.one():
            pass
