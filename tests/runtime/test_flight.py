import pytest
import trio
import trio.testing

from nixeryd.images.errors import NixerydError
from nixeryd.runtime.flight import Flights, Stopping


async def test_all_who_ask_share_one_run(nursery):
    flights = Flights(nursery)
    runs = 0
    go = trio.Event()

    async def work():
        nonlocal runs
        runs += 1
        await go.wait()
        return "image"

    results = []

    async def ask():
        results.append(await flights.run("key", work))

    async with trio.open_nursery() as clients:
        for _ in range(50):
            clients.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        assert len(flights.start("key", work).waiters) == 50
        go.set()
    assert results == ["image"] * 50
    assert runs == 1
    assert len(flights) == 0


async def test_a_waiter_that_leaves_cancels_nothing(nursery):
    flights = Flights(nursery)
    go = trio.Event()
    done = trio.Event()

    async def work():
        await go.wait()
        done.set()
        return 1

    with trio.CancelScope() as client:
        nursery.start_soon(lambda: _cancel_when_blocked(client))
        await flights.run("key", work)
    assert client.cancelled_caught
    assert len(flights) == 1
    assert len(flights.start("key", work).waiters) == 0
    go.set()
    await done.wait()


async def _cancel_when_blocked(scope):
    await trio.testing.wait_all_tasks_blocked()
    scope.cancel()


async def test_an_error_reaches_every_waiter_and_is_not_kept(nursery):
    flights = Flights(nursery)
    attempts = 0

    async def work():
        nonlocal attempts
        attempts += 1
        await trio.lowlevel.checkpoint()
        if attempts == 1:
            raise NixerydError("broken")
        return "mended"

    async def ask():
        with pytest.raises(NixerydError, match="broken"):
            await flights.run("key", work)

    async with trio.open_nursery() as clients:
        clients.start_soon(ask)
        clients.start_soon(ask)
    assert attempts == 1
    assert await flights.run("key", work) == "mended"


async def test_keys_do_not_wait_for_each_other(nursery):
    flights = Flights(nursery)

    async def for_ever():
        await trio.sleep_forever()

    async def at_once():
        await trio.lowlevel.checkpoint()
        return 2

    nursery.start_soon(flights.run, "a", for_ever)
    assert await flights.run("b", at_once) == 2
    nursery.cancel_scope.cancel()


async def test_who_waits_while_the_daemon_stops_is_told_so():
    told = []

    async def wait(flights):
        try:
            await flights.run("key", trio.sleep_forever)
        except Stopping as error:
            told.append(str(error))

    async with trio.open_nursery() as clients, trio.open_nursery() as daemon:
        clients.start_soon(wait, Flights(daemon))
        await trio.testing.wait_all_tasks_blocked()
        daemon.cancel_scope.cancel()
    assert len(told) == 1
    assert "stopping" in told[0]
