import pytest
import trio
import trio.testing

from nixeryd.runtime.locks import KeyedLocks


async def test_one_key_is_held_by_one_at_a_time():
    locks = KeyedLocks()
    inside = 0
    most = 0

    async def work():
        nonlocal inside, most
        async with locks.hold("layer"):
            inside += 1
            most = max(most, inside)
            await trio.lowlevel.checkpoint()
            inside -= 1

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(work)
    assert most == 1
    assert len(locks) == 0


async def test_another_key_does_not_wait():
    locks = KeyedLocks()
    async with locks.hold("a"), locks.hold("b"):
        assert len(locks) == 2
    assert len(locks) == 0


async def test_a_cancelled_waiter_leaves_no_lock_behind():
    locks = KeyedLocks()
    async with locks.hold("a"):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_hold_for_ever, locks)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert len(locks) == 1
    assert len(locks) == 0


async def _hold_for_ever(locks):
    async with locks.hold("a"):
        await trio.sleep_forever()


async def test_an_error_inside_releases_the_key():
    locks = KeyedLocks()
    with pytest.raises(ValueError, match="inside"):
        async with locks.hold("a"):
            raise ValueError("inside")
    assert len(locks) == 0
