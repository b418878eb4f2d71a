"""Recipes: a tar without the contents of its files, to make any part of it again.

A tar is literal bytes (headers, padding, the trailer) and whole files, in order. A
recipe is written in one pass: sections, each compressed by itself, with the literal
bytes of a stretch and the paths and sizes of its files; then a table of where each
section begins, in the tar and in the recipe; then a trailer of fixed size. Whoever
reads a part holds one section, whatever the size of the tar. Knows no file: whoever
reads, adds their bytes.
"""

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

import msgspec
import zstandard

from nixeryd.images.errors import NixerydError

SECTION: Final = 64 * 1024  # bytes of headers and paths in a section, about
LARGEST: Final = 64 * 1024 * 1024  # bytes of a section or table that are believed

_MAGIC: Final = b"nixeryd\x01"
_TRAILER: Final = struct.Struct(">8sQQQ")
TRAILER_SIZE: Final = _TRAILER.size


class UnreadableRecipe(NixerydError):  # noqa: N818  a state
    """These bytes are no recipe, or damaged."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """Bytes of a file that must have `size` bytes, and be none but that file."""

    path: str
    size: int
    part: range


Piece: TypeAlias = bytes | FilePart


@dataclass(frozen=True, slots=True)
class Trailer:
    """The end of a recipe: `size` of the tar, `table` its place in the recipe.

    `sealed` is when its files began to be read for the digest, in nanoseconds since
    the epoch: what changed later is not what was read.
    """

    size: int
    sealed: int
    table: int


TICK: Final = 20_000_000  # nanoseconds; a file's clock is behind by less


def is_unchanged(changed: int, sealed: int, now: int) -> bool:
    """Return whether a file is as it was at `sealed`; `changed` is its ctime.

    All in nanoseconds since the epoch. A ctime is set by the clock alone, whatever
    changes: so the file changed between the two, or not. Of a clock that was put
    back meanwhile nothing can be told.
    """
    return sealed <= now and not sealed - TICK <= changed <= now + TICK


class _Section(msgspec.Struct, array_like=True, frozen=True):
    literal: bytes
    # Each after so many of the literal bytes: its path and its size.
    files: list[tuple[int, bytes, int]]


class _Table(msgspec.Struct, array_like=True, frozen=True):
    paths: list[str]  # the store paths in it
    starts: list[int]  # of sections in the tar, and its end
    places: list[int]  # of sections in the recipe, and their end


class Recorder:
    """Writes the recipe of a tar that passes by."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._compress = zstandard.ZstdCompressor(write_checksum=True).compress
        self._literal = bytearray()
        self._files: list[tuple[int, bytes, int]] = []
        self._weight = 0
        self._at = self._start = 0  # in the tar, and where the section begins
        self._written = 0
        self._starts: list[int] = []
        self._places: list[int] = []

    def add(self, literal: bytes | bytearray | memoryview) -> None:
        """Add bytes that are in no file."""
        self._literal += literal
        self._grow(len(literal), len(literal))

    def add_file(self, path: str, size: int) -> None:
        """Add a whole file of `size` bytes."""
        name = path.encode("utf-8", "surrogateescape")
        self._files.append((len(self._literal), name, size))
        self._grow(size, len(name))

    def finish(self, paths: Sequence[str], sealed: int) -> None:
        """End it; `paths` are the store paths in it, `sealed` is `Trailer`'s."""
        self._end_section()
        table = _Table(
            list(paths), [*self._starts, self._at], [*self._places, self._written]
        )
        place = self._written
        self._put(msgspec.msgpack.encode(table))
        self._write(_TRAILER.pack(_MAGIC, self._at, sealed, place))

    def _grow(self, size: int, weight: int) -> None:
        self._at += size
        self._weight += weight
        if self._weight >= SECTION:
            self._end_section()

    def _end_section(self) -> None:
        if not self._weight:
            return
        self._starts.append(self._start)
        self._start = self._at
        self._places.append(self._written)
        section = _Section(bytes(self._literal), self._files)
        self._put(msgspec.msgpack.encode(section))
        self._literal.clear()
        self._files = []
        self._weight = 0

    def _put(self, data: bytes) -> None:
        packed = self._compress(data)
        self._write(packed)
        self._written += len(packed)


def read_trailer(data: bytes) -> Trailer:
    """Read the last `TRAILER_SIZE` bytes of a recipe; raises `UnreadableRecipe`."""
    try:
        magic, size, sealed, table = _TRAILER.unpack(data)
    except struct.error as error:
        raise UnreadableRecipe(f"no recipe: {error}") from error
    if magic != _MAGIC:
        raise UnreadableRecipe("no recipe, or one of another version")
    return Trailer(size, sealed, table)


@dataclass(frozen=True, slots=True)
class Table:
    """Where the sections are."""

    paths: tuple[str, ...]
    starts: tuple[int, ...]
    places: tuple[int, ...]

    def sections(self, part: range) -> Iterator[tuple[range, int]]:
        """Return the sections that `part` of the tar lies in.

        Each by its place in the recipe, and where in the tar it begins.
        """
        number = bisect_right(self.starts, part.start) - 1
        while number < len(self.starts) - 1 and self.starts[number] < part.stop:
            place = range(self.places[number], self.places[number + 1])
            yield place, self.starts[number]
            number += 1


def read_table(data: bytes) -> Table:
    """Read what is between sections and trailer; raises `UnreadableRecipe`."""
    table = _decode(data, _Table)
    if len(table.starts) != len(table.places):
        raise UnreadableRecipe("the recipe is damaged: its table does not add up")
    return Table(tuple(table.paths), tuple(table.starts), tuple(table.places))


def cut(section: bytes, start: int, part: range) -> Iterator[Piece]:
    """Return what of `part` of the tar is in a section that begins at `start`.

    Raises `UnreadableRecipe`.
    """
    read = _decode(section, _Section)
    taken = 0
    for position, path, size in read.files:
        if literal := read.literal[taken:position]:
            yield from _literal(literal, start, part)
            start += len(literal)
            taken = position
        first, last = max(part.start - start, 0), min(part.stop - start, size)
        if first < last:
            name = path.decode("utf-8", "surrogateescape")
            yield FilePart(name, size, range(first, last))
        start += size
    yield from _literal(read.literal[taken:], start, part)


def _literal(literal: bytes, start: int, part: range) -> Iterator[bytes]:
    if found := literal[max(part.start - start, 0) : max(part.stop - start, 0)]:
        yield found


_T = TypeVar("_T")


def _decode(data: bytes, kind: type[_T]) -> _T:
    try:
        # Where a frame says its size, so much is taken, whatever `max_output_size`.
        if zstandard.frame_content_size(data) > LARGEST:
            raise UnreadableRecipe("the recipe is damaged: a part of it is too large")
        plain = zstandard.ZstdDecompressor().decompress(data, max_output_size=LARGEST)
        return msgspec.msgpack.decode(plain, type=kind)
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise UnreadableRecipe(f"the recipe is damaged: {error}") from error
