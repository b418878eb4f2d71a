# ruff: noqa: ARG002  not all that is there can be lost
"""What a disk has after a power cut: what was fsynced, and some of the rest.

As little as POSIX promises (fsync(2), "NOTES"), less than most file systems keep: each
page that was written since a file's last fsync may be there or not, and each directory
has the entries of its last fsync and then some first few of its later changes.
So a new file may be there without its bytes, and what was renamed from one directory to
another may be in both, or in none.
"""

import random
import time
from dataclasses import dataclass, field
from typing import TypeAlias

UNLINKED = ".fuse_hidden"  # so libfuse names what is open and has no name any more
_PAGE = 4096
Change: TypeAlias = tuple[int, bytes | None]
"""Bytes from an offset on; None cuts or extends the file to there."""


class Merciless(random.Random):
    """Decides that all is lost that is not safe."""

    def choice(self, seq):
        return seq[0]

    def random(self) -> float:
        return 0.99  # of the numbers below 1


@dataclass(eq=False)
class Node:
    """Anything that has a name; `mode` with its kind."""

    mode: int
    mtime: int = field(default_factory=time.time_ns)

    def touch(self) -> None:
        self.mtime = time.time_ns()

    def after_cut(self, rng: random.Random, seen: "dict[Node, Node]") -> "Node":
        """Return what is left of it; `seen` are those that had another name as well."""
        return self


@dataclass(eq=False)
class Special(Node):
    """A symlink's target, or a socket, which has none; whole from the start."""

    target: str = ""


@dataclass(eq=False)
class File(Node):
    """Bytes as they are read, as they are safe, and what lies between."""

    data: bytearray = field(default_factory=bytearray)
    _safe: bytearray = field(default_factory=bytearray)
    _changes: list[Change] = field(default_factory=list)

    def write(self, at: int, data: bytes) -> None:
        self._change((at, data))

    def truncate(self, size: int) -> None:
        self._change((size, None))

    def _change(self, change: Change) -> None:
        _apply(self.data, change)
        self._changes.append(change)
        self.touch()

    def sync(self) -> None:
        for change in self._changes:
            _apply(self._safe, change)
        self._changes.clear()

    def after_cut(self, rng: random.Random, seen: dict[Node, Node]) -> Node:
        left = bytearray(self._safe)
        share = rng.choice((0, 0.5, 1))  # of what was not synced
        for change in self._changes:
            for part in _torn(change):
                if rng.random() < share:
                    _apply(left, part)
        if rng.random() < 0.2 and len(left) < len(self.data):
            left.extend(bytes(len(self.data) - len(left)))  # the size only
        return File(self.mode, self.mtime, left, bytearray(left))


@dataclass(eq=False)
class Directory(Node):
    """Names as they are looked up, as they are safe, and what lies between."""

    names: dict[str, Node] = field(default_factory=dict)
    _safe: dict[str, Node] = field(default_factory=dict)
    _changes: list[dict[str, Node | None]] = field(default_factory=list)

    def change(self, names: dict[str, Node | None]) -> None:
        """Set names, or take those away that are None; all of them or none."""
        _enter(self.names, names)
        self._changes.append(names)
        self.touch()

    def sync(self) -> None:
        self._changes.clear()
        self._safe = dict(self.names)

    def after_cut(self, rng: random.Random, seen: dict[Node, Node]) -> "Directory":
        left = dict(self._safe)
        most = len(self._changes)
        for names in self._changes[: rng.choice((0, rng.randint(0, most), most))]:
            _enter(left, names)
        for name, node in sorted(left.items()):
            if name.startswith(UNLINKED):
                del left[name]
                continue
            if node not in seen:
                seen[node] = node.after_cut(rng, seen)
            left[name] = seen[node]
        return Directory(self.mode, self.mtime, left, dict(left))


def _apply(data: bytearray, change: Change) -> None:
    at, written = change
    if at > len(data):
        data.extend(bytes(at - len(data)))
    if written is None:
        del data[at:]
    else:
        data[at : at + len(written)] = written


def _torn(change: Change) -> list[Change]:
    """Take a change apart into what a disk writes at once."""
    at, data = change
    if data is None:
        return [change]
    first = _PAGE - at % _PAGE
    cuts = [0, *range(first, len(data), _PAGE)]
    return [
        (at + start, data[start:end])
        for start, end in zip(cuts, [*cuts[1:], len(data)], strict=True)
    ]


def _enter(into: dict[str, Node], names: dict[str, Node | None]) -> None:
    for name, node in names.items():
        if node is None:
            into.pop(name, None)
        else:
            into[name] = node
