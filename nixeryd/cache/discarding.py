"""Discarding: let manifests and blobs go, so that no crash leaves a row that lies.

First the rows go and are safe on the disk, then the blobs. So whatever the index names
is there, also after a crash between the two, which leaves blobs that nothing names, and
those go first the next time. The other way round, a crash would leave rows that lie.

Rows go and blobs are renamed in the daemon's own thread with no await in between, so
that nobody can find a row and then no blob. Unlinking, which takes long, is done in a
thread.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from nixeryd.images.digests import Digest
from nixeryd.store.blobs import Blobs, StoreFullError
from nixeryd.store.index import Index
from nixeryd.store.names import Name
from nixeryd.store.publishing import withdraw
from nixeryd.store.recipes import weigh
from nixeryd.store.reserve import Reserve


@dataclass(frozen=True, slots=True)
class Discarding:
    """How things go; others hear of each name that ended, and each manifest."""

    blobs: Blobs
    index: Index
    reserve: Reserve
    on_forgotten: Callable[[Name], None]
    on_gone: Callable[[str], None]

    async def discard(
        self, manifests: Sequence[str], blobs: Sequence[str], *, unneeded: bool
    ) -> tuple[list[Name], int, int]:
        """Let these go; gives the names that ended, how many blobs, and their bytes.

        No manifest that stays names blobs that are `unneeded`. Not all may be here.
        """
        digests = list(map(Digest.parse, blobs))
        self.blobs.require_discardable(digests)  # else rows would go for nothing
        forget = partial(self._forget, manifests, unneeded=unneeded)
        why = "not needed" if unneeded else "damaged"
        names, trash = withdraw(self.blobs, digests, forget, why=why)
        for name in names:
            self.on_forgotten(name)
        for digest in manifests:
            self.on_gone(digest)
        return names, len(trash), await trio.to_thread.run_sync(_unlink, trash)

    def _forget(
        self, manifests: Sequence[str], blobs: Sequence[str], *, unneeded: bool
    ) -> list[Name]:
        forget = partial(self.index.names.forget, manifests, blobs, unneeded=unneeded)
        try:
            return forget()
        except StoreFullError:
            with self.reserve.given_up():
                return forget()


def _unlink(trash: Sequence[Path]) -> int:
    """Remove files; give how many bytes the blobs in them had."""
    freed = 0
    for path in trash:
        freed += weigh(str(path), path.stat().st_size)
        path.unlink()
    return freed
