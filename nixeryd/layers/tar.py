"""Tar headers: one entry in, its 512-byte blocks out; deterministic.

POSIX.1-1988 ustar, and a POSIX.1-2001 (PAX) `x` record before it only for what
ustar cannot say: a name that does not split into 155 + 100 bytes, a link target
over 100 bytes, a size over 8 GiB - 1, anything that is not ASCII. Owner 0:0,
no owner names, mtime 1. Knows nothing of files: whoever packs, adds the bytes.

https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

FORMAT: Final = 1
"""Part of every layer key: raise it with any change to the bytes made here."""

BLOCK: Final = 512
TRAILER: Final = bytes(2 * BLOCK)
"""The end of an archive: "two 512-octet logical records filled with zeros"."""

_MAX_NAME: Final = 100
_MAX_PREFIX: Final = 155
_MAX_LINK: Final = 100
_MAX_SIZE: Final = 0o77777777777  # eleven octal digits: 8 GiB - 1

_ZEROS: Final = bytes(BLOCK)
_MTIME: Final = b"00000000001\0"
# magic, version; uname, gname; devmajor, devminor; then prefix and padding.
_MAGIC: Final = b"ustar\x0000" + bytes(64) + b"0000000\x000000000\0"
_NO_PREFIX: Final = bytes(_MAX_PREFIX + 12)
_PAX_NAME: Final = b"././@PaxHeader"


class Kind(StrEnum):
    """What an entry is; the value is ustar's typeflag."""

    FILE = "0"
    SYMLINK = "2"
    DIRECTORY = "5"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of an archive.

    `name` has no leading and no trailing slash; bytes that are no UTF-8 are
    surrogate escapes, as Python's file functions give them. `size` is in bytes
    and a file's only, `target` a symlink's only.
    """

    name: str
    kind: Kind
    mode: int
    size: int = 0
    target: str = ""


def header(entry: Entry) -> bytes:
    """Render the blocks that come before an entry's content."""
    kind = entry.kind
    name = entry.name + "/" if kind is Kind.DIRECTORY else entry.name
    target = entry.target if kind is Kind.SYMLINK else ""
    size = entry.size if kind is Kind.FILE else 0
    if (
        len(name) <= _MAX_NAME
        and len(target) <= _MAX_LINK
        and size <= _MAX_SIZE
        and name.isascii()
        and target.isascii()
    ):
        return _block(name.encode(), b"", entry.mode, size, kind, target.encode())
    return _long_header(name, entry.mode, size, kind, target)


def padding(size: int) -> bytes:
    """Return the zeros that fill up the last block of `size` bytes of content."""
    return _ZEROS[: -size % BLOCK]


def _long_header(name: str, mode: int, size: int, kind: Kind, target: str) -> bytes:
    """Render an entry that needs a prefix, or records beside its header."""
    records = []
    raw_name = name.encode("utf-8", "surrogateescape")
    raw_target = target.encode("utf-8", "surrogateescape")
    split = _split(raw_name) if name.isascii() else None
    if split is None:
        records.append(_record(b"path", raw_name))
        split = b"", name.encode("ascii", "replace")[:_MAX_NAME]
    if len(raw_target) > _MAX_LINK or not target.isascii():
        records.append(_record(b"linkpath", raw_target))
        raw_target = target.encode("ascii", "replace")[:_MAX_LINK]
    if size > _MAX_SIZE:
        records.append(_record(b"size", b"%d" % size))
        size = 0
    prefix, last = split
    block = _block(last, prefix, mode, size, kind, raw_target)
    if not records:
        return block
    body = b"".join(records)
    extended = _block(_PAX_NAME, b"", 0o644, len(body), "x", b"")
    return b"".join((extended, body, padding(len(body)), block))


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """Cut a name at a slash into a prefix and a name that fit, if one does."""
    if len(name) <= _MAX_NAME:
        return b"", name
    # The first slash that leaves no more than 100 bytes; it must leave some, so
    # that a directory's own trailing slash does not count.
    cut = name.find(b"/", len(name) - _MAX_NAME - 1, -1)
    if 0 < cut <= _MAX_PREFIX:
        return name[:cut], name[cut + 1 :]
    return None


def _record(keyword: bytes, value: bytes) -> bytes:
    """Render "length keyword=value", a line; the length counts its own digits too."""
    rest = len(keyword) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, keyword, value)


def _block(  # noqa: PLR0913, PLR0917  the header's fields, in their order
    name: bytes, prefix: bytes, mode: int, size: int, typeflag: str, target: bytes
) -> bytes:
    # Packing calls this for every file of a closure: only what varies is made
    # and summed here.
    owner, flag, constant = _constants(mode, typeflag)
    octal = b"%011o\0" % size
    total = constant + sum(name) + sum(octal)
    if target:
        total += sum(target)
    if prefix:
        total += sum(prefix)
        tail = prefix.ljust(_MAX_PREFIX + 12, b"\0")
    else:
        tail = _NO_PREFIX
    return b"".join(
        (
            name.ljust(_MAX_NAME, b"\0"),
            owner,
            octal,
            _MTIME,
            b"%06o\0 " % total,
            flag,
            target.ljust(_MAX_LINK, b"\0"),
            _MAGIC,
            tail,
        )
    )


@lru_cache(maxsize=256)
def _constants(mode: int, typeflag: str) -> tuple[bytes, bytes, int]:
    """Return mode and owner, the typeflag, and the checksum of all constant bytes.

    The checksum is taken with its own eight bytes as spaces.
    """
    owner = b"%07o\x00" % (mode & 0o7777) + b"0000000\x00" * 2
    flag = typeflag.encode("ascii")
    return owner, flag, sum(owner) + sum(_MTIME) + sum(b" " * 8 + flag) + sum(_MAGIC)
