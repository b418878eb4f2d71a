"""What is in a directory of the store, as the symlink forest wants to know it."""

import os
from collections.abc import Sequence

from nixeryd.builder.forest import NodeKind
from nixeryd.layers.walking import StorePathLost

_STORE = "/nix/store/"


def list_directory(path: str) -> dict[str, NodeKind]:
    """List a directory, following links for their kind; {} if it is none.

    Raises `StorePathLost` if nothing is there.
    """
    try:
        with os.scandir(path) as entries:
            return {entry.name: _kind(entry) for entry in entries}
    except NotADirectoryError:
        return {}  # a store path may be a file
    except FileNotFoundError as error:
        raise StorePathLost(path, str(error.strerror)) from error


def _kind(entry: os.DirEntry[str]) -> NodeKind:
    if entry.is_dir(follow_symlinks=False):
        return NodeKind.DIRECTORY
    # A link out of the store means a place in the image, not on this machine.
    if entry.is_dir() and os.path.realpath(entry.path).startswith(_STORE):
        return NodeKind.LINK_TO_DIRECTORY
    return NodeKind.LEAF


def programs(outputs: Sequence[str]) -> tuple[str, ...]:
    """Name the programs in the outputs' bin/, sorted."""
    found: set[str] = set()
    for output in outputs:
        try:
            found.update(os.listdir(os.path.join(output, "bin")))  # noqa: PTH118, PTH208  hot enough, and plain strings
        except (FileNotFoundError, NotADirectoryError):
            continue
    return tuple(sorted(found))


def has_file(outputs: Sequence[str], path: str) -> bool:
    """Return whether one of the outputs has a file at this place below it."""
    return any(os.path.isfile(os.path.join(output, path)) for output in outputs)  # noqa: PTH113, PTH118  plain strings
