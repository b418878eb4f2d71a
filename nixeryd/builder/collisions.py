"""Collisions: files of two packages that want the same place in an image.

The first package wins, as with nixpkgs' symlinkJoin. That is said by name, unless the
files are equal.
"""

import filecmp
import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from nixeryd.builder.forest import Collision, build_forest
from nixeryd.builder.listing import list_directory
from nixeryd.layers.tar import Entry
from nixeryd.nix.evaluate import ResolvedPackage

MOST: Final = 100
"""Collisions that are told of one image."""
_SHOWN = 3  # paths in one line


def plant(
    packages: Sequence[ResolvedPackage],
) -> tuple[tuple[Entry, ...], tuple[Collision, ...]]:
    """Return the symlink forest of packages, and the collisions of unequal files."""
    outputs = [path for package in packages for path in package.outputs]
    found: list[Collision] = []
    entries = build_forest(outputs, list_directory, found.append)
    unequal = (collision for collision in found if not _are_equal(collision))
    return entries, tuple(one for one, _ in zip(unequal, range(MOST), strict=False))


def describe(
    collisions: Sequence[Collision], packages: Sequence[ResolvedPackage]
) -> Iterator[str]:
    """Return a line for each pair of packages whose files collide."""
    owners = {path: one.attribute for one in packages for path in one.outputs}

    def pair(collision: Collision) -> tuple[str, str]:
        return (
            _owner(collision.taken, owners),
            " and ".join(_owner(path, owners) for path in collision.hidden),
        )

    for (winner, others), group in groupby(sorted(collisions, key=pair), key=pair):
        paths = [collision.path for collision in group]
        shown = ", ".join(paths[:_SHOWN])
        if len(paths) > _SHOWN:
            shown += f" and {len(paths) - _SHOWN} more"
        yield f"warning: {shown}: taken from {winner}, not from {others}"


def _owner(path: str, owners: dict[str, str]) -> str:
    """Return the package whose output a file is in: /nix/store/NAME is three parts."""
    output = "/".join(path.split("/")[:4])
    return owners.get(output, output)


def _are_equal(collision: Collision) -> bool:
    return all(_is_same(collision.taken, path) for path in collision.hidden)


def _is_same(one: str, other: str) -> bool:
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    try:
        return os.path.isfile(one) and filecmp.cmp(one, other, shallow=False)  # noqa: PTH113  plain strings
    except OSError:
        return False
