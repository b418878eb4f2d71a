"""Walking: the entries of store paths as a tar has them, in the order of names."""

import os
import stat
from collections.abc import Iterable, Iterator

from nixeryd.images.errors import NixerydError
from nixeryd.layers import tar


class PackingError(NixerydError):
    """A store path is not what it should be, or not there."""


class StorePathLost(PackingError):  # noqa: N818  what happened, not what it is
    """A store path is not what Nix built; it may have been collected meanwhile."""

    is_transient = True

    def __init__(self, path: str, why: str) -> None:
        name = "/".join(path.split("/")[:4])
        super().__init__(
            f"{path} is not as Nix knows it ({why}): was it garbage-collected? Pull"
            " again to have it built; if that does not help: nix-store --verify-path"
            f" {name}, and nix-store --repair-path {name}"
        )


def parents(paths: Iterable[str]) -> list[tar.Entry]:
    """Return the directories above the store paths, /nix and /nix/store."""
    above = {
        path[:end] for path in paths for end in range(len(path)) if path[end] == "/"
    }
    return [
        tar.Entry(name=parent.lstrip("/"), kind=tar.Kind.DIRECTORY, mode=0o755)
        for parent in sorted(above)
        if parent
    ]


def walk(path: str) -> Iterator[tuple[tar.Entry, str]]:
    """Return every entry of a store path, parents first, siblings by name."""
    try:
        status = os.lstat(path)
    except OSError as error:
        raise StorePathLost(path, str(error.strerror)) from error
    pending = [(path, status)]
    while pending:
        source, status = pending.pop()
        entry = _entry(source, status)
        yield entry, source
        if entry.kind is tar.Kind.DIRECTORY:
            with os.scandir(source) as children:
                found = [
                    (child.path, child.stat(follow_symlinks=False))
                    for child in children
                ]
            found.sort(reverse=True)  # a stack: the first by name is popped first
            pending += found


def _entry(source: str, status: os.stat_result) -> tar.Entry:
    name = source[1:]
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISREG(status.st_mode):
        return tar.Entry(name, tar.Kind.FILE, mode, size=status.st_size)
    if stat.S_ISDIR(status.st_mode):
        return tar.Entry(name, tar.Kind.DIRECTORY, mode)
    if stat.S_ISLNK(status.st_mode):
        return tar.Entry(name, tar.Kind.SYMLINK, 0o777, target=os.readlink(source))  # noqa: PTH115  hot
    message = f"{source} is no file, directory or link; a store holds nothing else"
    raise PackingError(message)
