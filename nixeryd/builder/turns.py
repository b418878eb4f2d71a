"""Turns: so many builds at once, the others wait, and too many are refused.

What waits holds nothing: no process, no file, no directory.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from nixeryd.images.errors import ErrorCode, RegistryError

WAITING: Final = 1000  # builds that may wait


class Turns:
    """Lets `at_once` builds run side by side."""

    def __init__(self, at_once: int) -> None:
        self._limiter = trio.CapacityLimiter(at_once)

    def set(self, at_once: int) -> None:
        """Let so many run from now on; those that run go on."""
        self._limiter.total_tokens = at_once

    def check(self) -> None:
        """Raise TOOMANYREQUESTS (429) if no more may wait."""
        if self._limiter.statistics().tasks_waiting >= WAITING:
            raise RegistryError(
                ErrorCode.TOOMANYREQUESTS,
                f"{WAITING} builds wait for their turn already; ask again later, or"
                " let more run at once (nix.max_builds)",
            )

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the end of the block."""
        async with self._limiter:
            yield
