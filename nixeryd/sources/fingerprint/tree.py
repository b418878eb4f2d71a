"""A tree's contents as one number that is kept up to date directory by directory.

Law: `total` is the sum, modulo 2**256, of the digests of all its directories
(each with its path), so that a directory that changed is subtracted and added
again without a look at the others ("AdHash", Bellare and Micciancio 1997; no
enemy makes collisions here). The same contents give the same total, whatever
happened in between and whether a watch or a walk found it out.

Records are kept encoded: 40,000 directories as Python objects would be 60 MB,
and a pause at every garbage collection. Must not know of inotify or git.
"""

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from nixeryd.sources.fingerprint.contents import (
    Directory,
    MovingError,
    again,
    read_directory,
    stamp_of,
)

Checkpoint = Callable[[], None]  # called in every round of a long loop

FORMAT = 2  # of the saved records, and of every digest
_LENGTH = struct.Struct("!I")
_BLOCK = 1000  # records saved as one: a turn of the event loop
_TRIES = 4  # at a directory whose files vanish while they are read

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Directory).decode
_decode_block = msgspec.msgpack.Decoder(dict[bytes, bytes]).decode
_decode_header = msgspec.msgpack.Decoder(tuple[int, bytes]).decode


class Tree:
    """The contents below `root`; paths are relative to it, the root's is empty."""

    def __init__(self, root: bytes, changes: int = 0) -> None:
        self.root = root
        self.total = 0
        self.changes = changes  # how often something was seen to have changed
        self._records: dict[bytes, bytes] = {}
        self._remembered: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, path: bytes) -> bool:
        return path in self._records

    def get(self, path: bytes) -> Directory | None:
        """Return what is known of this directory."""
        record = self._records.get(path)
        return None if record is None else _decode(record)

    def absolute(self, path: bytes) -> bytes:
        """Return where a directory of this tree is."""
        return self.root + b"/" + path if path else self.root

    def read(
        self, path: bytes, changed: frozenset[bytes] = frozenset()
    ) -> tuple[Directory | None, Directory]:
        """Read a directory again and keep it; return it before and after.

        Raises `MovingError` when it is gone, or its files go faster than that.
        """
        old = self.get(path)
        known = old
        if known is None and (record := self._remembered.pop(path, None)):
            known = _decode(record)
        for patience in range(_TRIES, 0, -1):
            try:
                new = read_directory(self.absolute(path), known, changed)
            except MovingError:
                if patience == 1:
                    raise
            else:
                self._put(path, old, new)
                return old, new
        raise AssertionError  # the last try returns or raises

    def forget(self, path: bytes) -> Iterator[bytes]:
        """Forget a directory and all below it; yield each path forgotten."""
        pending = [path]
        while pending:
            path = pending.pop()
            record = self._records.pop(path, None)
            if record is None:
                continue
            old = _decode(record)
            self.total = (self.total - old.digest(path)) % (1 << 256)
            self.changes += 1
            pending += [join(path, name) for name in old.subdirectories]
            yield path

    def walk(self, checkpoint: Checkpoint) -> None:
        """Bring everything up to date by a look at every stamp.

        Directories whose stamp is settled are not even listed: git's way, with
        two system calls a file at most. Raises `MovingError`, and the tree is
        then older than it was asked for but consistent with itself.
        """
        met = {b""}
        pending = [b""]
        while pending:
            path = pending.pop()
            checkpoint()
            for name in self._look(path).subdirectories:
                below = join(path, name)
                met.add(below)
                pending.append(below)
        for path in self._records.keys() - met:
            for _ in self.forget(path):
                pass

    def _look(self, path: bytes) -> Directory:
        known = self.get(path)
        if known is None or not known.settled:
            return self.read(path)[1]
        absolute = self.absolute(path)
        try:
            if stamp_of(os.lstat(absolute)) != known.stamp:
                return self.read(path)[1]
        except OSError as error:
            raise MovingError(os.fsdecode(absolute)) from error
        files = tuple(
            again(absolute + b"/" + file.name, file.name, file) for file in known.files
        )
        if files == known.files:
            return known
        new = msgspec.structs.replace(known, files=files)
        self._put(path, known, new)
        return new

    def _put(self, path: bytes, old: Directory | None, new: Directory) -> None:
        if old == new:
            return
        if old is None or old.stamps() != new.stamps():
            self.changes += 1
        gone = 0 if old is None else old.digest(path)
        self.total = (self.total - gone + new.digest(path)) % (1 << 256)
        self._records[path] = _encode(new)

    def start_over(self) -> None:
        """Believe nothing, and still read no file again whose stamp holds."""
        self._remembered |= self._records
        self._records.clear()
        self.total = 0
        self.changes += 1

    def forget_remembered(self) -> None:
        """Drop what was remembered and not met again."""
        self._remembered.clear()

    def save(self, file: Path, checkpoint: Checkpoint) -> None:
        """Write down what is known, for the next daemon. Raises `OSError`.

        A header (format, root), then blocks of records, each after its length.
        """
        paths = list(self._records)
        staged = file.with_name(f"{file.name}.new")
        with staged.open("wb") as out:
            piece = _encode((FORMAT, self.root))
            for at in range(0, len(paths) + _BLOCK, _BLOCK):
                out.write(_LENGTH.pack(len(piece)) + piece)
                checkpoint()
                piece = _encode({p: self._records[p] for p in paths[at : at + _BLOCK]})
        staged.replace(file)

    def load(self, file: Path, checkpoint: Checkpoint) -> None:
        """Remember what an earlier daemon knew, as far as that is there."""
        try:
            pieces = _pieces(file.read_bytes())
            if _decode_header(next(pieces, b"")) != (FORMAT, self.root):
                return
            for piece in pieces:
                self._remembered |= _decode_block(piece)
                checkpoint()
        except (OSError, msgspec.DecodeError, struct.error):
            return


def _pieces(saved: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(saved):
        (length,) = _LENGTH.unpack_from(saved, at)
        at += _LENGTH.size
        yield saved[at : at + length]
        at += length


def join(path: bytes, name: bytes) -> bytes:
    """Return the path of an entry of a directory of the tree."""
    return path + b"/" + name if path else name
