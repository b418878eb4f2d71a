import os
import signal
import socket

import trio
from trio.testing import wait_all_tasks_blocked

from nixeryd.daemon.lifecycle import Ending, ask_for_time, end_when_idle, open_ending
from nixeryd.web.traffic import Traffic


async def test_it_ends_after_the_last_request_and_not_before(autojump_clock):
    traffic, ending, leave = Traffic(), Ending(), trio.Event()

    async def app(scope, receive, send):
        await leave.wait()

    counted = traffic.count(app)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_when_idle, ending, traffic, lambda: 10, lambda: False)
        await trio.sleep(9)
        scope = {"type": "http", "path": "/", "method": "GET", "client": None}
        nursery.start_soon(counted, scope, None, None)
        await trio.sleep(91)
        assert not ending.stop.is_set()
        leave.set()
        await ending.stop.wait()
        assert trio.current_time() >= 100 + 10
    assert traffic.quiet_since == 100


async def test_a_build_that_nobody_waits_for_keeps_it_alive(autojump_clock):
    ending = Ending()
    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            end_when_idle,
            ending,
            Traffic(),
            lambda: 10,
            lambda: trio.current_time() < begun + 95,
        )
        await ending.stop.wait()
    assert 95 <= trio.current_time() - begun <= 95 + 10


async def test_zero_is_never_until_the_setting_changes(autojump_clock):
    ending, patience = Ending(), [0]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            end_when_idle, ending, Traffic(), lambda: patience[0], lambda: False
        )
        await trio.sleep(10_000)
        assert not ending.stop.is_set()
        patience[0] = 5
        await ending.stop.wait()


async def test_the_first_signal_begins_the_end_and_the_second_cuts_it_short():
    with trio.CancelScope() as outer:
        async with open_ending(trio.lowlevel.checkpoint) as ending:
            os.kill(os.getpid(), signal.SIGTERM)
            await ending.stop.wait()
            os.kill(os.getpid(), signal.SIGINT)
            await trio.sleep_forever()
    assert not outer.cancelled_caught


async def test_a_hangup_reloads_and_systemd_hears_of_it(tmp_path, monkeypatch):
    reloaded = trio.Event()

    async def reload():
        reloaded.set()

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        async with open_ending(reload) as ending:
            os.kill(os.getpid(), signal.SIGHUP)
            await reloaded.wait()
            await wait_all_tasks_blocked()
            assert systemd.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert systemd.recv(100) == b"READY=1"
            ending.begin("the test is over")
            ending.begin("again")
            assert systemd.recv(100) == b"STOPPING=1\nSTATUS=Stopping: the test is over"
            with trio.move_on_after(0):
                await ask_for_time()
            assert systemd.recv(100) == b"EXTEND_TIMEOUT_USEC=30000000"
