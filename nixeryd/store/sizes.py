"""Sizes: how large each blob is, for whoever looks at its file, in any thread.

On a connection of its own, which only reads: the index's belongs to one thread. A
digest has one size for ever, so what was looked up is never wrong.
"""

import threading
from contextlib import closing
from pathlib import Path
from typing import Final

from nixeryd.images.digests import Digest
from nixeryd.images.errors import NixerydError
from nixeryd.store.connection import connect

_MOST: Final = 50_000  # some 10 MB


class Sizes:
    """Rows about the sizes of blobs in the index in `path`."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path, check_same_thread=False)
        self._lock = threading.Lock()
        self._known: dict[Digest, int] = {}

    def __call__(self, digest: Digest) -> int | None:
        """Return a blob's size in bytes; None if it is not known, or cannot be read."""
        if (size := self._known.get(digest)) is None:
            size = self._look(digest)
            if size is not None:
                if len(self._known) >= _MOST:
                    self._known.clear()
                self._known[digest] = size
        return size

    def _look(self, digest: Digest) -> int | None:
        look = "SELECT size FROM digests WHERE digest = ?"
        try:
            with self._lock, closing(self._db.execute(look, (str(digest),))) as rows:
                row = rows.fetchone()
        except NixerydError:  # the index cannot be read now; the file can
            return None
        return None if row is None else row[0]

    def close(self) -> None:
        """Close the connection."""
        self._db.close()
