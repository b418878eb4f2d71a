"""Places for evaluations: few at once, but those that take long keep nobody out.

One of nixpkgs takes a core and some 500 MB, for a second or two. One that takes much
longer may not end at all (`nix.evaluation_timeout`): its place goes to another, so
that two of that kind do not hold up all other images. How many there are in all is
bounded by the builds that run (`nix.max_builds`).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

PATIENCE = 15.0  # seconds


class EvaluationSlots:
    """So many places, each for `PATIENCE` seconds at most."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._until: dict[object, float] = {}
        self._left = trio.Event()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for a place, and have it until the end of the block."""
        await trio.lowlevel.checkpoint()
        while len(taken := self._taken()) >= self._count:
            with trio.move_on_at(min(taken)):
                await self._left.wait()
        place = object()
        self._until[place] = trio.current_time() + PATIENCE
        try:
            yield
        finally:
            del self._until[place]
            self._left.set()
            self._left = trio.Event()

    def _taken(self) -> list[float]:
        now = trio.current_time()
        return [until for until in self._until.values() if until > now]
