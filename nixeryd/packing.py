"""Packing: store paths become the bytes of a layer, in one pass.

Reads each file once, hashes the tar (diff_id) and the blob (digest) as they
stream by, and holds about a megabyte whatever the layer's size. Which bytes a
tar has is decided in `images.tar`; here they are only gathered. Everything is
synchronous and made for a worker thread; reading and hashing release the GIL.

What is written is the bytes, or the recipe by which they are made again
(`images.recipes`), which has the same digest.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import zstandard
from isal import isal_zlib

from nixeryd.images import tar
from nixeryd.images.digests import Digest
from nixeryd.images.recipes import Recorder
from nixeryd.walking import PackingError, parents, walk

CHUNK = 1 << 20
# One level for everybody: digests must not depend on whose machine packed.
GZIP_LEVEL = 1
ZSTD_LEVEL = 3


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
    _add_store_paths(stream, paths, checkpoint)
    return stream.finish()


def record_store_paths(
    paths: Iterable[str],
    sink: Sink,
    checkpoint: Callable[[], object] = lambda: None,
) -> Packed:
    """Write the recipe of what `pack_store_paths` writes uncompressed."""
    sealed = time.time_ns()  # before anything is read
    recorder = Recorder(sink.write)
    stream = _Stream(_Nowhere(), "none", recorder)
    _add_store_paths(stream, paths := sorted(paths), checkpoint)
    packed = stream.finish()
    recorder.finish(paths, sealed)
    return packed


def pack_entries(entries: Iterable[tar.Entry], sink: Sink, compression: str) -> Packed:
    """Pack entries that have no content of their own: directories and links."""
    stream = _Stream(sink, compression)
    for entry in entries:
        stream.add(tar.header(entry))
    return stream.finish()


def record_entries(entries: Iterable[tar.Entry], sink: Sink) -> Packed:
    """Write the recipe of what `pack_entries` writes uncompressed."""
    recorder = Recorder(sink.write)
    stream = _Stream(_Nowhere(), "none", recorder)
    for entry in entries:
        stream.add(tar.header(entry))
    packed = stream.finish()
    recorder.finish((), 0)
    return packed


class _Nowhere:
    """Takes a tar of which the recipe is kept."""

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        pass


class _Stream:
    """Gathers tar bytes into chunks, hashes, compresses and writes them.

    A `recorder` hears which of them are no file's, and of each file.
    """

    def __init__(
        self, sink: Sink, compression: str, recorder: Recorder | None = None
    ) -> None:
        self._sink = sink
        self._recorder = recorder
        self._compressor = _compressor(compression)
        self._tar_hash = hashlib.sha256()
        # Uncompressed, the tar is the blob: one hash is enough.
        self._blob_hash = (
            self._tar_hash if self._compressor is None else hashlib.sha256()
        )
        self._buffer = bytearray()
        self._size = 0

    def add(self, data: bytes) -> None:
        if self._recorder is not None:
            self._recorder.add(data)
        self.add_content(data)

    def begin_file(self, path: str, size: int) -> None:
        """Begin a file, whose content follows."""
        if self._recorder is not None:
            self._recorder.add_file(path, size)

    def add_content(self, data: bytes) -> None:
        """Add a piece of a file."""
        self._buffer += data
        if len(self._buffer) >= CHUNK:
            self._flush()

    def add_chunk(self, chunk: memoryview) -> None:
        """Add a large piece of a file without copying it into the buffer."""
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


def _add_store_paths(
    stream: _Stream, paths: Iterable[str], checkpoint: Callable[[], object]
) -> None:
    for parent in parents(paths := sorted(paths)):
        stream.add(tar.header(parent))
    for path in paths:
        for entry, source in walk(path):
            checkpoint()
            stream.add(tar.header(entry))
            if entry.kind is tar.Kind.FILE:
                _add_file(stream, source, entry.size, checkpoint)


def _add_file(
    stream: _Stream, source: str, size: int, checkpoint: Callable[[], object]
) -> None:
    stream.begin_file(source, size)
    fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if size < CHUNK:
            data = os.read(fd, size)
            missing = size - len(data)
            stream.add_content(data)
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
