"""A reserve: some bytes of the disk that are kept for making room.

To forget what goes, the index has to be written, and on a full disk it could not be.
So there is a file to delete first.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

RESERVE: Final = "reserve"  # its name beside the index
SIZE: Final = 1 << 20  # bytes


class Reserve:
    """The file in `path`; there again whenever the disk has room for it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._take()

    @contextmanager
    def given_up(self) -> Iterator[None]:
        """Leave the space to the block; taken again at its end if there is some."""
        with suppress(OSError):
            self._path.unlink()
        try:
            yield
        finally:
            self._take()

    def _take(self) -> None:
        try:
            if not self._path.exists():
                # Zeros would be stored as nothing by a disk that compresses.
                self._path.write_bytes(os.urandom(SIZE))
        except OSError:
            with suppress(OSError):
                self._path.unlink()
