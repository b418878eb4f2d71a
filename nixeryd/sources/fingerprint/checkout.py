"""The fingerprint of one local checkout, at any moment.

Law: a call that begins after a write has returned sees that write, and equal
fingerprints mean equal contents (`contents`) and the same commit at HEAD
(`head`). None means "cannot tell: evaluate".

No git process is asked: `git status` takes as long as comparing all stamps
here (0.5 s for 40,000 files), and does not see ignored files, assume-unchanged
flags, line endings and filters, which evaluation does.

What touches tree and watch holds the lock, in a worker thread where it takes
time; the event loop itself only drains the queue of events.
"""

import math
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import trio

from nixeryd.sources.fingerprint.contents import MovingError
from nixeryd.sources.fingerprint.gil import GilYielder
from nixeryd.sources.fingerprint.inotify import InotifyUnavailableError
from nixeryd.sources.fingerprint.opening import Opening
from nixeryd.sources.fingerprint.scope import NoScopeError
from nixeryd.sources.fingerprint.view import View

if TYPE_CHECKING:
    from nixeryd.sources.fingerprint.tree import Tree

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_TRIES = 5  # at a tree that changes while it is read
_PAUSE = 0.02  # seconds between drains when nobody asks: bounds both CPU and queue
_RARELY = 20  # times what a vain try to open took, until the next
_GRACE = 5  # seconds for a worker thread to notice that the daemon ends


class Checkout:
    """One source path; made by `open_checkout`."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._lock = trio.Lock()
        self._thread = trio.CapacityLimiter(1)
        self._view: View | None = None
        self._tree: Tree | None = None
        self._stale: View | None = None  # to be closed before the next is opened
        self._blind: str | None = None  # why there was no fingerprint
        self._retry_at = 0.0
        self._refreshes = 0
        self._opened = trio.Event()
        self._again = trio.Event()

    @property
    def state(self) -> str:
        """How the next fingerprint will be found, in words for a status line."""
        if not self._opened.is_set():
            return "starting"
        if self._view is None or self._blind is not None:
            return f"evaluating each time: {self._blind}"
        return self._view.describe()

    @property
    def root(self) -> str | None:
        """The directory that the fingerprint is of, if there is one."""
        return None if self._view is None else os.fsdecode(self._view.scope.root)

    @property
    def changes(self) -> int:
        """How many changes were seen, undone ones included; never goes down.

        What was evaluated between two calls of `fingerprint` belongs to their
        common value only if this number too was the same after both: files may
        have been edited and restored in between.
        """
        return 0 if self._tree is None else self._tree.changes

    async def wait_opened(self) -> None:
        """Wait until `fingerprint` need not be None for want of time."""
        await self._opened.wait()

    async def fingerprint(self) -> str | None:
        """Return a value that changes with the contents; None: cannot tell."""
        await trio.lowlevel.checkpoint()
        ticket = self._refreshes + 1
        if not self._lock.locked() and self._is_current(ticket):
            return self._value()
        if self._view is None:  # being opened: not worth waiting for
            return None
        async with self._lock:
            for _ in range(_TRIES):
                if self._is_current(ticket):
                    return self._value()
                if not await self._refresh():
                    return None
            self._blind = "it changes all the time"
            return None

    def _is_current(self, ticket: int) -> bool:
        if self._view is None:
            if trio.current_time() >= self._retry_at:
                self._open_again(self._blind)
            return False
        current = self._view.is_current(ticket)
        if (reason := self._view.lost()) is not None:
            self._open_again(reason)
            return False
        return current

    def _value(self) -> str | None:
        if self._view is None:
            return None
        self._blind = None
        return self._view.value()

    async def _refresh(self) -> bool:
        """Refresh to the end, even if the request it is for goes away.

        Never cancelled half-way: the events it took from the queue would go too.
        """
        if (view := self._view) is None:
            return False
        self._refreshes += 1
        number = self._refreshes
        try:
            await trio.to_thread.run_sync(
                view.refresh,
                GilYielder(),
                limiter=self._thread,
                abandon_on_cancel=False,
            )
        except MovingError:
            pass
        except InotifyUnavailableError as error:
            self._open_again(str(error))
        except Exception:
            self._open_again("reading it failed")
            raise
        else:
            view.fresh = number
        return True

    def _open_again(self, reason: str | None) -> None:
        if not self._opened.is_set():
            return
        log.info(
            "looking at a checkout anew",
            source=str(self._opening.source),
            reason=reason,
        )
        self._stale, self._view = self._view, None
        self._opened = trio.Event()
        self._again.set()

    async def keep(self) -> None:
        """Open the checkout, and again whenever its watch is lost; for ever."""
        try:
            while True:
                self._again = trio.Event()
                async with self._lock:
                    await self._open()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._drain_for_ever, self._view)
                    await self._again.wait()
                    nursery.cancel_scope.cancel("opened anew")
        finally:
            for view in (self._stale, self._view):
                if view is not None:
                    view.close()
            self._view = self._stale = None
            self._retry_at = math.inf  # a build may go on asking

    async def _open(self) -> None:
        if self._stale is not None:
            # The kernel takes its time to free tens of thousands of watches.
            await trio.to_thread.run_sync(self._stale.close, limiter=self._thread)
            self._stale = None
        began = trio.current_time()
        try:
            self._view = await trio.to_thread.run_sync(
                self._opening.open,
                self._tree,
                GilYielder(trio.from_thread.check_cancelled),
                limiter=self._thread,
            )
        except NoScopeError as error:
            self._blind = str(error)
            now = trio.current_time()
            self._retry_at = now + _RARELY * (now - began)
        else:
            self._tree = self._view.tree
            self._blind = None
        self._opened.set()

    async def _drain_for_ever(self, view: View | None) -> None:
        """Keep the queue from overflowing when nobody asks."""
        if view is None or view.queue is None:
            return
        while True:
            await trio.lowlevel.wait_readable(view.queue)
            async with self._lock:
                if view is not self._view:
                    return
                view.is_current(0)
                if (reason := view.lost()) is not None:
                    self._open_again(reason)
            await trio.sleep(_PAUSE)


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # a service user may have none
        return Path("/")


@asynccontextmanager
async def open_checkout(
    source: Path,
    nursery: trio.Nursery,
    *,
    memory: Path | None = None,
    watch_limit: int | None = None,
    home: Path | None = None,
) -> AsyncIterator[Checkout]:
    """Begin to watch a source in the background, until the block ends.

    `memory` is a file that lets the next daemon start without reading all files
    again. `watch_limit` bounds the directories watched (1 to 3 KiB of kernel
    memory each). Raises nothing for a source that is not there: it may come.
    """
    opening = Opening(source, home or _home(), memory, watch_limit)
    checkout = Checkout(opening)
    scope, ended = trio.CancelScope(), trio.Event()

    async def keep() -> None:
        try:
            with scope:
                await checkout.keep()
        finally:
            ended.set()

    nursery.start_soon(keep, name=f"checkout {source}")
    try:
        yield checkout
    finally:
        scope.cancel("the checkout is closed")
        with trio.move_on_after(_GRACE, shield=True):
            await ended.wait()
