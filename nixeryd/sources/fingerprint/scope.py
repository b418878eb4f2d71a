"""How far around a source evaluation may read, and so what is to be watched.

Law: a package set reads its own files and, by `../`, those of the git work tree
it is part of; absolute paths and what lies further up are not a checkout's
contents. A home directory is never watched whole, even if it is a work tree.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path


class NoScopeError(Exception):
    """There is nothing that could be watched; the message says why."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The directory to watch, and what says that it is still that one."""

    source: bytes
    real: bytes
    root: bytes
    identity: tuple[int, int]

    def still_holds(self) -> bool:
        """Return whether the same paths still lead to the same directory."""
        try:
            same = self.identity == _identity(self.root)
            return same and _resolve(self.source) == self.real
        except OSError:
            return False


def find_scope(source: Path, home: Path) -> Scope:
    """Find what to watch for a source: a directory, or a file to import.

    Raises `NoScopeError`: it is not there, or is as wide as a home directory.
    """
    try:
        real = source.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise NoScopeError(f"{source} is not there") from error
    directory = real if real.is_dir() else real.parent
    private = {home, *home.parents}
    if directory in private:
        raise NoScopeError(f"{directory} is too much to watch")
    root = directory
    for above in (directory, *directory.parents):
        if above in private:
            break
        if (above / ".git").exists():
            root = above
            break
    try:
        identity = _identity(os.fsencode(root))
    except OSError as error:
        raise NoScopeError(f"{source} is not there") from error
    return Scope(os.fsencode(source), os.fsencode(real), os.fsencode(root), identity)


def _identity(directory: bytes) -> tuple[int, int]:
    status = os.lstat(directory)
    return status.st_dev, status.st_ino


def _resolve(path: bytes) -> bytes:
    """Resolve all links on the way; asked at every pull."""
    if sys.platform != "linux":
        return os.path.realpath(path)
    # The kernel does it in one go: proc(5), /proc/pid/fd.
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        return os.readlink(b"/proc/self/fd/%d" % fd)  # noqa: PTH115  bytes
    finally:
        os.close(fd)
