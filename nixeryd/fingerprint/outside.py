"""Symlinks that lead out of the tree: what they show is asked at every call.

Law: no watch covers what is outside, so the few links that lead there are
resolved each time, and the file at the end is identified by its bytes (or its
stamp, if large). The Nix store never changes: `result` links cost nothing. A
link to a directory elsewhere makes the fingerprint impossible, as evaluation
may read anything below it.
"""
# Paths are bytes here, as names need not be text; pathlib has no such thing.
# ruff: noqa: PTH118, PTH119, PTH120

import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Mapping

from nixeryd.fingerprint.contents import MovingError, read_file
from nixeryd.fingerprint.tree import join

_MANY = 200
Links = Mapping[bytes, Iterable[tuple[bytes, bytes]]]


class OutOfSightError(Exception):
    """Evaluation may read what cannot be watched; the message says where."""


def links_outside(root: bytes, links: Links) -> tuple[bytes, ...]:
    """Return the symlinks (absolute paths) that leave the tree on their way."""
    return tuple(
        root + b"/" + join(directory, name)
        for directory, entries in sorted(links.items())
        for name, target in entries
        if not _stays(root, root + b"/" + join(directory, name), target)
    )


def _stays(root: bytes, link: bytes, target: bytes) -> bool:
    if target.startswith(b"/"):
        return False
    straight = os.path.normpath(os.path.join(os.path.dirname(link), target))
    return _within(root, straight) and _within(root, os.path.realpath(link))


def _within(root: bytes, path: bytes) -> bool:
    inside = path == root or path.startswith(root.rstrip(b"/") + b"/")
    return inside and b"/.git/" not in path[len(root) :] + b"/"


def identify(root: bytes, store: bytes, links: Collection[bytes]) -> bytes:
    """Return a digest of what these links lead to now.

    Raises `OutOfSightError` for a directory outside, or too many links.
    """
    if len(links) > _MANY:
        raise OutOfSightError(f"{len(links)} symlinks lead out of it")
    hasher = hashlib.blake2b(digest_size=16)
    for link in links:
        end = os.path.realpath(link)
        hasher.update(b"%b\0%b\0" % (link, end))
        if not _within(root, end) and not end.startswith(store + b"/"):
            hasher.update(_end(link, end))
    return hasher.digest()


def _end(link: bytes, end: bytes) -> bytes:
    try:
        mode = os.lstat(end).st_mode
    except OSError as error:
        return b"%d" % (error.errno or 0)
    if stat.S_ISDIR(mode):
        raise OutOfSightError(
            f"{os.fsdecode(link)} leads to a directory outside, {os.fsdecode(end)}"
        )
    if not stat.S_ISREG(mode):
        return b"%o" % stat.S_IFMT(mode)
    try:
        file = read_file(end, os.path.basename(end))
    except MovingError as error:
        raise OutOfSightError(f"{os.fsdecode(end)} changes as it is read") from error
    return b"%d" % file.executable + file.digest
