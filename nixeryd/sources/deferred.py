"""A source that must be asked for elsewhere first, which may take a while.

A build does that, not the request: clients wait for builds in their own ways, give
up and come back, and the next one finds it done.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from nixeryd.images.names import ImageName
from nixeryd.nix.evaluate import Evaluation
from nixeryd.nix.packageset import PackageSet
from nixeryd.nix.process import Nix
from nixeryd.nix.reads import Reads
from nixeryd.sources.source import Searchable, State


@dataclass(frozen=True, slots=True)
class Deferred:
    """What `fetch` will give; `what` tells one from another of the same source."""

    name: str
    what: str
    fetch: Callable[[], Awaitable[Searchable]] = field(compare=False)

    async def ready(self) -> Searchable:
        """Fetch it."""
        return await self.fetch()

    async def fingerprint(self) -> None:
        """Return none: nobody knows it yet."""

    async def state(self) -> State:
        """Return none: nobody knows it yet."""
        return State(None, 0)

    async def revision(self) -> str | None:
        """Return the commit, once it is fetched."""
        return await (await self.fetch()).revision()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[PackageSet]:
        """Fetch it, and give what Nix evaluates."""
        async with (await self.fetch()).open() as found:
            yield found

    async def evaluate(self, nix: Nix, image: ImageName, reads: Reads) -> Evaluation:
        """Fetch it, and evaluate."""
        return await (await self.fetch()).evaluate(nix, image, reads)
