"""Turns: so many builds at once, the others wait, and too many are refused.

What waits holds nothing: no process, no file, no directory. The next turn is the
client's whose last turn is longest ago: one that asks for a thousand images is only in
its own way. What nobody waits for comes after all others, gives up its place to them
when all are taken, and is not begun once that has been so for a while.
"""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import trio

from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.runtime.flight import Waiters

WAITING: Final = 1000  # builds that may wait
# Seconds without anybody who waits; who is sent round (`web.waiting`) is soon back.
ABANDONED: Final = 10.0
ABANDONED_IF_FULL: Final = 1.0
_CLIENTS = 100  # more are looked through for those that are gone


class TooMany(RegistryError):  # noqa: N818  what happened, not what it is
    """No more builds may wait (429)."""

    is_transient = True

    def __init__(self) -> None:
        super().__init__(
            ErrorCode.TOOMANYREQUESTS,
            f"{WAITING} builds wait for their turn already; ask again later, or"
            " let more run at once (nix.max_builds)",
        )


class Abandoned(RegistryError):  # noqa: N818  what happened, not what it is
    """Nobody waited for a build before it had begun (429)."""

    is_transient = True

    def __init__(self) -> None:
        super().__init__(
            ErrorCode.TOOMANYREQUESTS,
            "this build had to wait for its turn, and nobody waited for it; ask again",
        )


@dataclass(slots=True, eq=False)
class _Waiting:
    waiters: Waiters
    decided: trio.Event = field(default_factory=trio.Event)
    is_dropped: bool = False

    @property
    def is_abandoned(self) -> bool:
        return self.waiters.seconds_without > ABANDONED

    def drop(self) -> None:
        self.is_dropped = True
        self.decided.set()


class BuildQueue:
    """Lets `at_once` builds run side by side."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._running = 0
        self._waiting: list[_Waiting] = []  # the first came first
        self._served: dict[str, int] = {}  # clients: the number of their last turn
        self._turn = 0

    def set(self, at_once: int) -> None:
        """Let so many run from now on; those that run go on."""
        self._at_once = at_once
        self._grant()

    def check(self) -> None:
        """Raise `TooMany` if no more may wait.

        Those that nobody waits for any more give up their places, or else the one of
        them that has been so the longest.
        """
        if len(self._waiting) < WAITING:
            return
        self._drop_abandoned()
        if len(self._waiting) < WAITING:
            return
        longest = max(self._waiting, key=lambda one: one.waiters.seconds_without)
        if longest.waiters.seconds_without < ABANDONED_IF_FULL:
            raise TooMany
        self._drop(longest)

    @asynccontextmanager
    async def one(self, waiters: Waiters | None = None) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the end of the block.

        `askers` wait for what it is for, as far as is known. Raises `Abandoned`.
        """
        waiting = _Waiting(Waiters() if waiters is None else waiters)
        self._waiting.append(waiting)
        self._grant()
        try:
            await waiting.decided.wait()
        except trio.Cancelled:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            elif not waiting.is_dropped:
                self._end()
            raise
        if waiting.is_dropped:
            raise Abandoned
        try:
            yield
        finally:
            self._end()

    def _end(self) -> None:
        self._running -= 1
        self._grant()

    def _grant(self) -> None:
        if not self._waiting or self._running >= self._at_once:
            return
        self._drop_abandoned()
        while self._waiting and self._running < self._at_once:
            waiting = min(self._waiting, key=self._rank)
            self._waiting.remove(waiting)
            self._turn += 1
            self._served |= dict.fromkeys(waiting.waiters, self._turn)
            self._running += 1
            waiting.decided.set()
        if len(self._served) > _CLIENTS or not self._waiting:
            # Who is not here any more comes back as a new client.
            here = {name for one in self._waiting for name in one.waiters}
            self._served = {k: turn for k, turn in self._served.items() if k in here}

    def _drop_abandoned(self) -> None:
        for waiting in [one for one in self._waiting if one.is_abandoned]:
            self._drop(waiting)

    def _drop(self, waiting: _Waiting) -> None:
        self._waiting.remove(waiting)
        waiting.drop()

    def _rank(self, waiting: _Waiting) -> float:
        turns = (self._served.get(name, 0) for name in waiting.waiters)
        return min(turns, default=math.inf)
