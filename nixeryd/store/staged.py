"""A blob being written: a staging file that becomes a blob, or is gone.

Bytes are safe before they are visible under their digest: the file is fsynced, renamed,
and its directory fsynced (`durable`).
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nixeryd.images.digests import Digest
from nixeryd.store.durable import fsync_directory
from nixeryd.store.writeback import begin_writeback

if TYPE_CHECKING:
    from nixeryd.store.blobs import Blobs

_STRETCH: Final = 8 << 20  # bytes that a disk writes in one go


class Staged:
    """A blob being written. Gone at the end of its `stage()` unless committed."""

    def __init__(self, blobs: "Blobs", fd: int, path: Path) -> None:
        self._blobs = blobs
        self._path = path
        self.fd = fd
        self.size = 0
        self._begun = 0  # so much of it is on its way to the disk

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes; raises `StoreFullError` when the disk is full."""
        view = memoryview(data)
        with self._blobs.explain_errors():
            while view:
                written = os.write(self.fd, view)
                self.size += written
                view = view[written:]
        if self.size - self._begun >= _STRETCH:
            self._begin_writeback()

    def _begin_writeback(self) -> None:
        begin_writeback(self.fd, range(self._begun, self.size))
        self._begun = self.size

    def commit(self, digest: Digest) -> Path:
        """Make the bytes safe and visible under their digest."""
        return self._commit(digest, self._blobs.path(digest), self.size)

    def commit_recipe(self, digest: Digest, size: int) -> Path:
        """Do the same with a recipe, that of a blob of `size` bytes."""
        return self._commit(digest, self._blobs.recipes.path(digest), size)

    def _commit(self, digest: Digest, target: Path, size: int) -> Path:
        with self._blobs.explain_errors():
            os.fsync(self.fd)
            is_new = digest not in self._blobs
            self._path.rename(target)
            fsync_directory(target.parent)
            # What is kept in the other way is not needed, or was found damaged.
            for other in self._blobs.places(digest):
                if other != target:
                    other.unlink(missing_ok=True)
        self._blobs.recipes.forget(digest)
        if is_new:
            self._blobs.on_growth(size)
        return target
