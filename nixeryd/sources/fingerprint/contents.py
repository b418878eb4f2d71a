"""What one file or directory holds, as far as Nix can see it.

Law: equal digests mean equal to Nix's eyes: names, kinds, the owner's execute
bit, symlink targets and bytes (what a NAR holds, Nix manual "Nix Archive").
Times never count, so that an undone edit gives the old digest back.

A file already read is known again by its stamp (inode, size, times, mode;
no device number, which a reboot may change). A stamp is *settled*, and only then
trusted, when its ctime was two seconds old or more as the bytes were read: a
later write gives another ctime, even where time is kept in whole seconds (git
calls the problem "racy-git"). ctime, unlike mtime, cannot be set by hand.

Above a size, the stamp stands for the bytes: an evaluation too many when a
large file is restored, and never a stale one.
"""
# Paths are bytes here, as names need not be text; pathlib has no such thing.
# ruff: noqa: PTH115

import hashlib
import os
import secrets
import stat
import struct
import time

import msgspec

DIGEST_SIZE = 16
SETTLING = 2_000_000_000  # nanoseconds
LARGE = 1 << 20
LARGE_NIX = 1 << 26  # generated package sets are tens of megabytes
_STAMP = struct.Struct("=QqqqI")
_CHUNK = 1 << 20
_UNREADABLE = b"unreadable"


class MovingError(Exception):
    """Something vanished or changed kind while it was read: read again."""


class File(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One regular file in a directory."""

    name: bytes
    stamp: bytes
    settled: bool
    executable: bool
    digest: bytes


class Directory(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One directory's own entries, by name; not what is in its subdirectories."""

    stamp: bytes
    settled: bool
    files: tuple[File, ...] = ()
    links: tuple[tuple[bytes, bytes], ...] = ()
    subdirectories: tuple[bytes, ...] = ()
    others: tuple[bytes, ...] = ()  # sockets, devices, pipes
    readable: bool = True

    def digest(self, path: bytes) -> int:
        """Return a number for this content at this path, of 256 bits."""
        seen = msgspec.msgpack.encode(
            (
                path,
                [(f.name, f.executable, f.digest) for f in self.files],
                self.links,
                self.subdirectories,
                self.others,
                self.readable,
            )
        )
        return int.from_bytes(hashlib.blake2b(seen, digest_size=32).digest())

    def stamps(self) -> tuple[object, ...]:
        """Return what any write to the entries changes, even one undone."""
        return (
            self.stamp,
            [(f.name, f.stamp, f.digest) for f in self.files],
            self.links,
            self.subdirectories,
            self.others,
            self.readable,
        )


def stamp_of(status: os.stat_result) -> bytes:
    """Return what changes whenever the file is written to."""
    return _STAMP.pack(
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_mode,
    )


def is_settled(status: os.stat_result, now: int) -> bool:
    """Return whether a write after `now` changes the stamp.

    Of a file that was written before the clock was set back, a write does so too,
    unless it comes at that very moment when the clock is there again.
    """
    return abs(now - status.st_ctime_ns) > SETTLING


def read_file(path: bytes, name: bytes) -> File:
    """Read one regular file. Raises `MovingError` if there is none."""
    now = time.time_ns()
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        return File(name, b"", settled=False, executable=False, digest=_UNREADABLE)
    except OSError as error:
        raise MovingError(os.fsdecode(path)) from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise MovingError(os.fsdecode(path))
        stamp, settled = stamp_of(status), is_settled(status, now)
        hasher = hashlib.blake2b(digest_size=DIGEST_SIZE)
        if status.st_size > (LARGE_NIX if name.endswith(b".nix") else LARGE):
            hasher.update(b"stamp" + (stamp if settled else secrets.token_bytes()))
        else:
            while chunk := os.read(fd, _CHUNK):
                hasher.update(chunk)
        settled = settled and stamp == stamp_of(os.fstat(fd))
    finally:
        os.close(fd)
    executable = bool(status.st_mode & stat.S_IXUSR)
    return File(name, stamp, settled, executable, hasher.digest())


def read_directory(
    path: bytes, known: Directory | None, changed: frozenset[bytes] = frozenset()
) -> Directory:
    """Read a directory's entries, and those files that `known` does not settle.

    `changed` are names not to be taken from `known` whatever their stamps say.
    `.git` directories are left out. Raises `MovingError`.
    """
    now = time.time_ns()
    files, links, subdirectories, others = [], [], [], []
    old = {} if known is None else {file.name: file for file in known.files}
    try:
        status = os.lstat(path)
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_symlink():
                    links.append((entry.name, os.readlink(entry.path)))
                elif entry.is_dir(follow_symlinks=False):
                    if entry.name != b".git":
                        subdirectories.append(entry.name)
                elif entry.is_file(follow_symlinks=False):
                    before = None if entry.name in changed else old.get(entry.name)
                    files.append(again(entry.path, entry.name, before))
                else:
                    others.append(entry.name)
    except PermissionError:
        return Directory(stamp=b"", settled=False, readable=False)
    except OSError as error:
        raise MovingError(os.fsdecode(path)) from error
    return Directory(
        stamp_of(status),
        is_settled(status, now),
        tuple(sorted(files, key=lambda file: file.name)),
        tuple(sorted(links)),
        tuple(sorted(subdirectories)),
        tuple(sorted(others)),
    )


def again(path: bytes, name: bytes, known: File | None) -> File:
    """Return `known` if its stamp still holds, else read the file."""
    if known is not None and known.settled:
        try:
            status = os.lstat(path)
        except OSError as error:
            raise MovingError(os.fsdecode(path)) from error
        if stamp_of(status) == known.stamp:
            return known
    return read_file(path, name)
