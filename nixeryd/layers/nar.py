"""How large a NAR is, Nix's own archive format, from the entries of a tar.

Nix knows the NAR size of every store path. Whoever reads one that is being deleted
finds less, and no error: so what was read is counted and compared.

Dolstra, "The Purely Functional Software Deployment Model", figure 5.2. Every token is
a string: its length in 8 bytes, then its bytes, padded to a multiple of 8.
"""

from typing import Final

from nixeryd.layers.tar import Entry, Kind

# What Nix appends on file systems that do not tell "a" from "A" (macOS).
_CASE_HACK: Final = "~nix~case~hack~"


def _string(size: int) -> int:
    return 8 + (size + 7) // 8 * 8


def _tokens(*tokens: str) -> int:
    return sum(_string(len(token)) for token in tokens)


MAGIC: Final = _tokens("nix-archive-1")
"""The size of what every NAR begins with."""

_FILE: Final = _tokens("(", "type", "regular", "contents", ")")
_EXECUTABLE: Final = _tokens("executable", "")
_SYMLINK: Final = _tokens("(", "type", "symlink", "target", ")")
_DIRECTORY: Final = _tokens("(", "type", "directory", ")")
_ENTRY: Final = _tokens("entry", "(", "name", "node", ")")


def size_of(entry: Entry, *, is_root: bool) -> int:
    """Return the bytes that an entry adds to a NAR; the root has no name in it."""
    size = _size_of_node(entry)
    if is_root:
        return size
    name = entry.name.rpartition("/")[2].partition(_CASE_HACK)[0]
    return size + _ENTRY + _string(_length(name))


def _size_of_node(entry: Entry) -> int:
    match entry.kind:
        case Kind.FILE:
            is_executable = bool(entry.mode & 0o100)
            return _FILE + _string(entry.size) + is_executable * _EXECUTABLE
        case Kind.SYMLINK:
            return _SYMLINK + _string(_length(entry.target))
        case Kind.DIRECTORY:
            return _DIRECTORY


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogateescape"))
