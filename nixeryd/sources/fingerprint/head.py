"""The commit that HEAD names, read from the files of a repository.

Evaluation can read it: nixpkgs' `lib.commitIdFromGitRepo` does, in just this
way. Nothing else of .git counts for a fingerprint (gitrepository-layout(5)).
No process: two small files are read at each call, so no event is needed either.
"""
# Paths are bytes here, as names need not be text; pathlib has no such thing.
# ruff: noqa: PTH116, PTH118, PTH123

import os
from functools import lru_cache

_DEPTH = 5  # git's own limit of symbolic references
_HASH = frozenset(b"0123456789abcdef")


def read_head(root: bytes) -> bytes:
    """Return the commit checked out at `root`, or b"" if none is to be found.

    `root` may be a worktree or a submodule (.git is a file). Where refs are
    kept as a reftable, the name of its newest table stands for the commit.
    """
    git = git_directory(root)
    head = _read(git + b"/HEAD").strip()
    if not head:
        return b""
    common = git
    if shared := _read(git + b"/commondir").strip():
        common = os.path.join(git, shared)
    for _ in range(_DEPTH):
        if not head.startswith(b"ref: "):
            return head
        name = head.removeprefix(b"ref: ").strip()
        if name == b"refs/heads/.invalid":
            return _read(git + b"/reftable/tables.list")
        head = (_read(git + b"/" + name) or _read(common + b"/" + name)).strip()
        if not head:
            return _packed(common + b"/packed-refs", name)
    return b""


def git_directory(root: bytes) -> bytes:
    """Return where the repository itself is, of which `root` is the work tree."""
    git = root + b"/.git"
    pointer = _read(git)
    if pointer.startswith(b"gitdir: "):
        return os.path.join(root, pointer.removeprefix(b"gitdir: ").rstrip(b"\n"))
    return git


def _packed(file: bytes, name: bytes) -> bytes:
    try:
        status = os.stat(file)
    except OSError:
        return b""
    # git replaces the file and never writes into it: another inode, other times.
    key = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return _search(file, name, key)


@lru_cache(maxsize=8)
def _search(file: bytes, name: bytes, _key: tuple[int, ...]) -> bytes:
    for line in _read(file).splitlines():
        commit, _, ref = line.partition(b" ")
        if ref == name and _HASH.issuperset(commit):
            return commit
    return b""


def _read(file: bytes) -> bytes:
    try:
        with open(file, "rb", buffering=0) as opened:
            return opened.readall()
    except OSError:
        return b""
