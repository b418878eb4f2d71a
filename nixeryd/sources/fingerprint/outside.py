"""What an evaluation read beside its checkout, and whether that is still the same.

Law: while `Outside.holds`, evaluating again would read the same. It is asked at each
pull, and costs a stat(2) for each path that was read; the Nix store never changes.
A stamp (inode, size, times, mode) stands for the bytes: an edit that was undone costs
an evaluation, and nothing is ever stale for it.

Nobody knew these paths before they were read, so nothing watched them meanwhile.
`note` therefore believes only what had been left alone for a moment when the
evaluation began: each file, each link and each directory on the way. Whatever is
changed, moved or removed has a new ctime, which cannot be set by hand, or its
directory has. A file system of another machine has the clock of that machine.
"""

# Names that are no text come as Nix prints them, and so are not found: unknown.
# ruff: noqa: PTH115, PTH116, PTH118

import hashlib
import os
import stat
import time
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from nixeryd.nix.reads import Read, Reads
from nixeryd.sources.fingerprint.contents import SETTLING, stamp_of
from nixeryd.sources.fingerprint.head import git_directory, read_head

FORMAT = 2  # of what is kept, and of what evaluation tells
STORE = "/nix/store/"
MOST = 10_000  # files to look at, at each pull
QUICK = 100_000_000  # nanoseconds, where times are kept in such
_SECOND = 1_000_000_000


class OutOfSightError(Exception):
    """Evaluation read what cannot be looked at again; the message says what."""


class JustChangedError(OutOfSightError):
    """Something changed right before the evaluation, or since; it settles."""


class Outside(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Paths and variables that were read, and a digest of what they were.

    `size` counts what is looked at: two for each file of a tree, one for others.
    """

    reads: tuple[Read, ...] = ()
    variables: tuple[str, ...] = ()
    digest: bytes = b""
    size: int = 0

    def holds(self, environment: Mapping[str, str]) -> bool:
        """Return whether all of it is as it was."""
        try:
            return _look(self.reads, self.variables, environment) == self.digest
        except OutOfSightError:
            return False

    def encode(self) -> bytes:
        """Return it in a form to be kept."""
        return zlib.compress(_encode(self))

    @classmethod
    def decode(cls, kept: bytes) -> "Outside":
        """Read what `encode` wrote."""
        return _decode(zlib.decompress(kept))


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Outside).decode


def note(reads: Reads, began: int, environment: Mapping[str, str]) -> Outside:
    """Return what was read outside; the evaluation `began` at that time_ns().

    Raises `OutOfSightError`: that is not known, is too much, or has just changed.
    """
    if reads.unknown is not None:
        raise OutOfSightError(reads.unknown)
    found = tuple(sorted({(kind, _normal(path)) for kind, path in reads.paths}))
    variables = tuple(sorted(reads.variables))
    size = sum(1 for read in found for _ in _pieces(*read))
    outside = Outside(found, variables, _look(found, variables, environment), size)
    calm = _Calm(began, reads.source)
    for kind, path in found:
        calm.check(kind, path)
    return outside


def _normal(path: str) -> str:
    """Resolve `..` by the text alone, as Nix does."""
    return "/" + os.path.normpath(path).lstrip("/")


def _look(
    reads: Collection[Read], variables: Collection[str], environment: Mapping[str, str]
) -> bytes:
    hasher = hashlib.blake2b(digest_size=20)
    for kind, path in reads:
        hasher.update(b"\0".join(_pieces(kind, path)) + b"\0\0")
    for name in variables:
        value = environment.get(name)
        hasher.update(b"-" if value is None else b"=%b\0" % os.fsencode(value))
    return hasher.digest()


def _pieces(kind: str, path: str) -> Iterator[bytes]:
    """Yield what changes with what was read of a path."""
    if kind == "status":
        yield b"%o %o" % (_type(path), _type(path, follow=False))
        # What a search finds is named by newer Nix with its links resolved, so that the
        # files read from there do not tell that a link, such as a channel, has moved.
        yield os.fsencode(_real(path))
        return
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:  # such as a null byte
        yield str(error).encode(errors="replace")
        return
    yield stamp_of(status)
    if kind == "file" and stat.S_ISDIR(status.st_mode):
        yield from _pieces("file", f"{path}/default.nix")
    if kind in ("tree", "work tree") and stat.S_ISDIR(status.st_mode):
        for entry in _below(path, with_git=kind == "tree"):
            yield os.fsencode(entry.path)
            yield stamp_of(_lstat(entry.path))
    if kind == "work tree":
        root = os.fsencode(path)
        yield read_head(root)
        yield from _pieces("file", os.fsdecode(git_directory(root) + b"/index"))


def _type(path: str, *, follow: bool = True) -> int:
    try:
        return stat.S_IFMT(os.stat(path, follow_symlinks=follow).st_mode)
    except (OSError, ValueError):
        return 0


def _real(path: str) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # such as a null byte
        return path


def _lstat(path: str) -> os.stat_result:
    try:
        return os.lstat(path)
    except OSError as error:
        raise OutOfSightError(f"{path} changes as it is looked at") from error


def _below(path: str, *, with_git: bool) -> Iterator[os.DirEntry[str]]:
    """Yield all that is in a directory; raises `OutOfSightError` if it is a lot."""
    pending, count = [path], 0
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            continue  # no directory, or nobody's to read: its stamp tells if it changes
        for entry in found:
            if entry.name == ".git" and not with_git:
                continue
            count += 1
            if count > MOST:
                raise OutOfSightError(f"{path} has more than {MOST:,} files")
            yield entry
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)


class _Calm:
    """Raises `OutOfSightError` for what may have changed since an evaluation began.

    Of some directories only the names that are missing count, as all the time something
    is written there: a home directory, and those above the source. That they are still
    the same is seen (`scope`), or nobody moves them.
    """

    def __init__(self, began: int, source: str | None) -> None:
        self._began, self._ended = began, time.time_ns()
        self._busy = {"/tmp", str(Path.home()), *map(str, Path.home().parents)}  # noqa: S108
        if source is not None:
            self._busy.update(map(str, Path(source).parents))
            self._busy.update(map(str, Path(source).resolve().parents))
        self._met: dict[str, bool] = {STORE.rstrip("/"): False}  # is there more below?

    def check(self, kind: str, path: str) -> None:
        """Check a path, all that leads to it, and of a tree what is in it."""
        self._check_way(path)
        if kind == "file" and Path(path).is_dir():
            self._check_way(f"{path}/default.nix")
        elif kind in ("tree", "work tree"):
            for entry in _below(path, with_git=kind == "tree"):
                self._check(entry.path, _lstat(entry.path))

    def _check_way(self, path: str) -> None:
        at = ""
        for name in path.split("/")[1:]:
            above, at = at or "/", f"{at}/{name}"
            if at not in self._met:
                self._met[at] = self._is_there(at, above)
            if not self._met[at]:
                return

    def _is_there(self, path: str, above: str) -> bool:
        try:
            status = os.lstat(path)
        except (OSError, ValueError):
            with suppress(OSError):  # of a link that leads nowhere that was done
                self._check(above, os.stat(above))  # it may have been there before
            return False
        if path not in self._busy:
            self._check(path, status)
        if stat.S_ISLNK(status.st_mode):
            self._met[path] = True  # though it led to itself
            self._check_way(_normal(os.path.join(above, os.readlink(path))))
        return True

    def _check(self, path: str, status: os.stat_result) -> None:
        changed = status.st_ctime_ns
        margin = QUICK if changed % _SECOND else SETTLING
        if self._began - margin <= changed <= self._ended + margin:
            raise JustChangedError(f"{path} has just changed")
