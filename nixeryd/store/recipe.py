"""A recipe on disk: a blob that is made from the Nix store whenever it is read.

The law: a recipe's bytes are its blob's, or reading fails. What is read is not
hashed again here: who reads all of it can, and `streaming` does when a file
changed. Synchronous, and made for worker threads.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nixeryd.images.digests import Digest
from nixeryd.images.errors import NixerydError
from nixeryd.layers.recipe_format import (
    TRAILER_SIZE,
    FilePart,
    Piece,
    Table,
    Trailer,
    UnreadableRecipe,
    cut,
    read_table,
    read_trailer,
)

CHUNK: Final = 1024 * 1024
_NOT_A_FILE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
OTHER_CONTENTS: Final = "its store paths have other contents now"


class LostContent(NixerydError):  # noqa: N818  a state
    """What a recipe is made of is gone, or not what it was."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The blob `digest` of `size` bytes; see `Trailer` for `sealed`."""

    path: Path
    digest: Digest
    size: int
    sealed: int

    @contextmanager
    def open(self) -> Iterator["OpenRecipe"]:
        """Open it for reading; raises `UnreadableRecipe`, `FileNotFoundError`."""
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield OpenRecipe(fd)
        finally:
            os.close(fd)

    def read(self, part: range) -> bytes:
        """Read a part that fits into memory; raises `LostContent` too."""
        with self.open() as opened:
            return b"".join(opened.read(part))

    def chunks(self) -> Iterator[bytes]:
        """Read all of it; raises `LostContent` too."""
        with self.open() as opened:
            yield from opened.read(range(self.size))

    def is_right(self, checkpoint: Callable[[], object]) -> bool:
        """Read all of it and tell whether its digest is right.

        `checkpoint` is called often and may raise to stop.
        """
        hashed = hashlib.sha256()
        for chunk in self.chunks():
            checkpoint()
            hashed.update(chunk)
        return hashed.hexdigest() == self.digest.hex

    def missing(self) -> str | None:
        """Name a store path that it needs and that is not there."""
        with self.open() as opened:
            paths = opened.table.paths
        return next((path for path in paths if not os.path.lexists(path)), None)


def find_recipe(path: Path, digest: Digest) -> Recipe | None:
    """Find the recipe in `path`; raises `UnreadableRecipe`."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        trailer = _trailer(fd)
    finally:
        os.close(fd)
    return Recipe(path, digest, trailer.size, trailer.sealed)


class OpenRecipe:
    """An open recipe, which it does not close."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        end = os.fstat(fd).st_size - TRAILER_SIZE
        self.table: Table = read_table(self._pread(range(_trailer(fd).table, end)))

    def pieces(self, part: range) -> Iterator[Piece]:
        """Return what a part is made of, in order; raises `UnreadableRecipe`."""
        for place, start in self.table.sections(part):
            yield from cut(self._pread(place), start, part)

    def read(self, part: range) -> Iterator[bytes]:
        """Return the bytes of a part in pieces of any size up to a mebibyte."""
        for piece in self.pieces(part):
            if isinstance(piece, bytes):
                yield piece
            else:
                fd, _ = open_part(piece)
                try:
                    for at in range(piece.part.start, piece.part.stop, CHUNK):
                        count = min(CHUNK, piece.part.stop - at)
                        yield read_part(fd, range(at, at + count), piece.path)
                finally:
                    os.close(fd)

    def _pread(self, place: range) -> bytes:
        data = os.pread(self._fd, len(place), place.start)
        if len(data) != len(place):
            raise UnreadableRecipe("the recipe is damaged: it is too short")
        return data


def open_part(piece: FilePart) -> tuple[int, int]:
    """Open a file of a recipe; gives its ctime too. Raises `LostContent`, `OSError`."""
    try:
        fd = os.open(piece.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno not in _NOT_A_FILE:
            raise
        raise LostContent(f"{piece.path} is no file any more") from error
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_size != piece.size:
        os.close(fd)
        raise LostContent(f"{piece.path} has changed")
    return fd, status.st_ctime_ns


def read_part(fd: int, part: range, path: str) -> bytes:
    """Read a part of an open file, all of it; raises `LostContent`."""
    data = os.pread(fd, len(part), part.start)
    if len(data) != len(part):
        raise LostContent(f"{path} has become shorter")
    return data


def _trailer(fd: int) -> Trailer:
    size = os.fstat(fd).st_size
    if size < TRAILER_SIZE:
        raise UnreadableRecipe("the recipe is damaged: it is too short")
    return read_trailer(os.pread(fd, TRAILER_SIZE, size - TRAILER_SIZE))
