"""Verification: is every blob what its digest says, and is all there that should be.

All blobs are read, as many at once as there are processors. A repair removes what
is broken and the builds that need it, so that the next pull makes them anew; what
is mirrored is fetched again when it is asked for. A streamed layer is made from the
store to be read.
"""

import os
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from pathlib import Path
from typing import Final

import trio

from nixeryd.api.images import Broken, Checked, Checking
from nixeryd.cache.damage import examine, name_images
from nixeryd.images.digests import Digest
from nixeryd.store.blobs import Blobs
from nixeryd.store.index import Index
from nixeryd.store.retention import Blob
from nixeryd.store.snapshot import CacheSnapshot, read_holdings

# Seconds between two tellings of how far it is.
_PACE: Final = 0.2


class Verification:
    """One run over all blobs."""

    def __init__(
        self,
        blobs: Blobs,
        index: Index,
        index_path: Path,
        discard: Callable[[Sequence[str]], Awaitable[None]],
    ) -> None:
        self._blobs = blobs
        self._index = index
        self._index_path = index_path
        self._discard = discard
        self._done = 0
        self._why: dict[str, str] = {}
        self._denied: set[str] = set()

    @trio.as_safe_channel
    async def run(self, *, repair: bool) -> AsyncGenerator[Checking | Checked, None]:
        """Tell how far it is, and at last what is broken."""
        holdings = await trio.to_thread.run_sync(read_holdings, self._index_path)
        try:
            listing = await trio.to_thread.run_sync(self._blobs.listing)
        except PermissionError as error:
            why = f"cannot be listed: {error.strerror}"
            place = Broken(str(error.filename), why, ())
            yield Checked(0, 0, (place,), repaired=False)  # noqa: ASYNC119  safe
            return
        total = sum(blob.size for blob in listing.values())
        ended = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read_all, listing, ended)
            while not ended.is_set():
                # In a safe channel, which runs this in a task of its own.
                yield Checking(min(self._done, total), total)  # noqa: ASYNC101, ASYNC119
                with trio.move_on_after(_PACE):
                    await ended.wait()
        self._note_missing(holdings, listing)
        images = name_images(holdings, self._why.keys())
        removed = self._why.keys() - self._denied if repair else set()
        broken = tuple(
            Broken(digest, why, images[digest], digest in removed)
            for digest, why in sorted(self._why.items())
        )
        if repair:
            await self._discard(sorted(removed))
        is_repaired = repair and not self._denied
        yield Checked(len(listing), total, broken, is_repaired)  # noqa: ASYNC119  safe

    async def _read_all(self, listing: Mapping[str, Blob], ended: trio.Event) -> None:
        # The largest first, or the last one would be read alone.
        digests = iter(sorted(listing, key=lambda one: -listing[one].size))
        async with trio.open_nursery() as readers:
            for _ in range(os.cpu_count() or 1):
                readers.start_soon(self._read_some, digests)
        ended.set()

    async def _read_some(self, digests: Iterator[str]) -> None:
        for text in digests:
            found = await examine(self._blobs, Digest.parse(text), self._count)
            if found is not None:
                self._why[text] = found.why
                if found.is_denied:
                    self._denied.add(text)

    def _count(self, size: int) -> None:
        """Count what was read. Runs in a thread."""
        trio.from_thread.check_cancelled()
        self._done += size

    def _note_missing(
        self, holdings: CacheSnapshot, listing: Mapping[str, Blob]
    ) -> None:
        here = set(map(holdings.numbering.number, listing))
        name = holdings.numbering.digest
        for manifest in holdings.held:
            needs = () if manifest.number in holdings.mirrored else manifest.needs
            for number in {manifest.number, *needs} - here:
                # Evicted in between: then nobody needs it any more.
                is_held = self._index.manifest(Digest.parse(name(manifest.number)))
                if is_held and self._blobs.size(Digest.parse(name(number))) is None:
                    self._why[name(number)] = "missing"
