"""When the daemon ends or reads its configuration again: signals, and idleness.

The first SIGTERM or SIGINT begins the end, a second one cuts it short. SIGHUP
means "read the configuration again", as for any daemon; but when a terminal goes
away under a daemon that was started in it, SIGHUP means what it says.

systemd is told of it all. https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
import trio

from nixeryd.web.systemd import notify
from nixeryd.web.traffic import Traffic

log = structlog.get_logger()

_LOOK_AGAIN = 60  # seconds
_EXTENSION = 30  # seconds that systemd is asked for, again and again


class Ending:
    """Whether the daemon is ending. `stop` is set once it is."""

    def __init__(self) -> None:
        self.stop = trio.Event()

    def begin(self, why: str) -> None:
        """Begin to end; the first reason counts."""
        if not self.stop.is_set():
            log.info("stopping", why=why)
            notify("STOPPING=1", f"STATUS=Stopping: {why}")
            self.stop.set()


@asynccontextmanager
async def open_ending(
    reload: Callable[[], Awaitable[None]],
) -> AsyncIterator[Ending]:
    """Listen to signals until the block ends; the second one cancels the block."""
    ending = Ending()
    has_terminal = sys.stdin is not None and sys.stdin.isatty()

    async def watch(
        scope: trio.CancelScope,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        watched = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        with trio.open_signal_receiver(*watched) as signals:
            task_status.started()
            async for number in signals:
                if number == signal.SIGHUP and not has_terminal:
                    nursery.start_soon(_tell_reload, reload)
                elif ending.stop.is_set():
                    scope.cancel()
                    return
                else:
                    ending.begin(signal.Signals(number).name)

    async with trio.open_nursery() as nursery:
        await nursery.start(watch, nursery.cancel_scope)
        yield ending
        nursery.cancel_scope.cancel()


async def _tell_reload(reload: Callable[[], Awaitable[None]]) -> None:
    # CLOCK_MONOTONIC, so that systemd can tell this reload from an earlier one.
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify("RELOADING=1", f"MONOTONIC_USEC={now}")
    await reload()
    notify("READY=1")


async def end_when_idle(
    ending: Ending,
    traffic: Traffic,
    seconds: Callable[[], float],
    is_busy: Callable[[], bool],
) -> None:
    """Begin the end after `seconds()` without a request or other business.

    0 seconds is never; the setting may change, and is looked at again then.
    """
    since = trio.current_time()
    while True:
        patience = seconds()
        await trio.sleep_until(since + (patience or _LOOK_AGAIN))
        now = trio.current_time()
        if traffic.running or is_busy():
            since = now
        elif traffic.quiet_since > since:
            since = traffic.quiet_since
        elif patience and patience == seconds():
            ending.begin(f"nothing to do for {patience} s")
            return
        elif not patience:
            since = now


async def ask_for_time() -> None:
    """Keep systemd from killing us while builds are finished; runs until cancelled."""
    while True:
        notify(f"EXTEND_TIMEOUT_USEC={_EXTENSION * 1_000_000}")
        await trio.sleep(_EXTENSION / 3)
