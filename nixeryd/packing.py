"""Packing: store paths become the bytes of a layer, in one pass.

Reads each file once, hashes the tar (diff_id) and the blob (digest) as they
stream by, and holds about a megabyte whatever the layer's size. Which bytes a
tar has is decided in `images.tar`; here they are only gathered. Everything is
synchronous and made for a worker thread; reading and hashing release the GIL.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import zstandard
from isal import isal_zlib

from nixeryd.images import tar
from nixeryd.images.digests import Digest
from nixeryd.images.errors import NixerydError

CHUNK = 1 << 20
# One level for everybody: digests must not depend on whose machine packed.
GZIP_LEVEL = 1
ZSTD_LEVEL = 3


class PackingError(NixerydError):
    """A store path is not what it should be, or not there."""


class Sink(Protocol):
    """Where a blob's bytes go (`store.blobs.Staged`)."""

    def write(self, data: bytes | bytearray | memoryview, /) -> None: ...


class _Compressor(Protocol):
    def compress(self, data: bytes | bytearray | memoryview, /) -> bytes: ...
    def flush(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Packed:
    """What a layer's bytes turned out to be; sizes are in bytes."""

    digest: Digest
    diff_id: Digest
    size: int


def pack_store_paths(
    paths: Iterable[str],
    sink: Sink,
    compression: str,
    checkpoint: Callable[[], object] = lambda: None,
) -> Packed:
    """Pack whole store paths, in the order of their names.

    `checkpoint` is called once per chunk or file and may raise to stop.
    """
    stream = _Stream(sink, compression)
    for parent in _parents(paths := sorted(paths)):
        stream.add(tar.header(parent))
    for path in paths:
        for entry, source in _walk(path):
            checkpoint()
            stream.add(tar.header(entry))
            if entry.kind is tar.Kind.FILE:
                _add_file(stream, source, entry.size, checkpoint)
    return stream.finish()


def pack_entries(entries: Iterable[tar.Entry], sink: Sink, compression: str) -> Packed:
    """Pack entries that have no content of their own: directories and links."""
    stream = _Stream(sink, compression)
    for entry in entries:
        stream.add(tar.header(entry))
    return stream.finish()


class _Stream:
    """Gathers tar bytes into chunks, hashes, compresses and writes them."""

    def __init__(self, sink: Sink, compression: str) -> None:
        self._sink = sink
        self._compressor = _compressor(compression)
        self._tar_hash = hashlib.sha256()
        # Uncompressed, the tar is the blob: one hash is enough.
        self._blob_hash = (
            self._tar_hash if self._compressor is None else hashlib.sha256()
        )
        self._buffer = bytearray()
        self._size = 0

    def add(self, data: bytes | bytearray | memoryview) -> None:
        self._buffer += data
        if len(self._buffer) >= CHUNK:
            self._flush()

    def add_chunk(self, chunk: memoryview) -> None:
        """Add a large piece without copying it into the buffer."""
        self._flush()
        self._pass_on(chunk)

    def finish(self) -> Packed:
        self.add(tar.TRAILER)
        self._flush()
        if self._compressor is not None:
            self._write(self._compressor.flush())
        return Packed(
            digest=Digest(self._blob_hash.hexdigest()),
            diff_id=Digest(self._tar_hash.hexdigest()),
            size=self._size,
        )

    def _flush(self) -> None:
        if self._buffer:
            self._pass_on(self._buffer)
            self._buffer.clear()

    def _pass_on(self, data: bytearray | memoryview) -> None:
        self._tar_hash.update(data)
        if self._compressor is None:
            self._sink.write(data)
            self._size += len(data)
        else:
            self._write(self._compressor.compress(data))

    def _write(self, data: bytes) -> None:
        self._blob_hash.update(data)
        self._sink.write(data)
        self._size += len(data)


def _compressor(compression: str) -> _Compressor | None:
    match compression:
        case "none":
            return None
        case "gzip":
            # 16 + 15: a gzip member whose header carries no name and no time.
            return isal_zlib.compressobj(GZIP_LEVEL, wbits=31)
        case "zstd":
            return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compressobj()
        case _:
            message = f"unknown compression {compression!r}: none, gzip or zstd"
            raise PackingError(message)


def _parents(paths: Iterable[str]) -> list[tar.Entry]:
    """Give the directories above the store paths, /nix and /nix/store."""
    above = {
        path[:end] for path in paths for end in range(len(path)) if path[end] == "/"
    }
    return [
        tar.Entry(name=parent.lstrip("/"), kind=tar.Kind.DIRECTORY, mode=0o755)
        for parent in sorted(above)
        if parent
    ]


def _walk(path: str) -> Iterator[tuple[tar.Entry, str]]:
    """Give every entry of a store path, parents first, siblings by name."""
    try:
        status = os.lstat(path)
    except OSError as error:
        message = (
            f"{path} is not in the Nix store ({error.strerror}): was it "
            "garbage-collected? Pull again to have it built"
        )
        raise PackingError(message) from error
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


def _add_file(
    stream: _Stream, source: str, size: int, checkpoint: Callable[[], object]
) -> None:
    fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if size < CHUNK:
            data = os.read(fd, size)
            missing = size - len(data)
            stream.add(data)
        else:
            missing = _add_large(stream, fd, size, checkpoint)
    finally:
        os.close(fd)
    if missing:
        message = f"{source} is {missing} bytes shorter than it was a moment ago"
        raise PackingError(message)
    stream.add(tar.padding(size))


def _add_large(
    stream: _Stream, fd: int, size: int, checkpoint: Callable[[], object]
) -> int:
    """Stream a file in chunks; give the number of bytes it lacks of `size`."""
    buffer = memoryview(bytearray(CHUNK))
    left = size
    while left:
        checkpoint()
        count = os.readv(fd, [buffer[: min(left, CHUNK)]])
        if not count:
            break
        stream.add_chunk(buffer[:count])
        left -= count
    return left
