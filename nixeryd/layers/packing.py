"""Packing: store paths become the bytes of a layer, in one pass.

Reads each file once, hashes the tar (diff_id) and the blob (digest) as they
stream by, and holds two mebibytes (`chunks`) whatever the layer's size. Which
bytes a tar has is decided in `images.tar`; here they are only gathered. All is
synchronous and made for a worker thread; reading and hashing release the GIL.

What is written is the bytes, or the recipe by which they are made again
(`images.recipes`), which has the same digest.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import zstandard
from isal import isal_zlib

from nixeryd.images.digests import Digest
from nixeryd.layers import nar, tar
from nixeryd.layers.hashing import Chunks
from nixeryd.layers.recipe_format import Recorder
from nixeryd.layers.walking import PackingError, StorePathLost, parents, walk

# One level for everybody: digests must not depend on whose machine packed.
GZIP_LEVEL = 1
ZSTD_LEVEL = 3


Checkpoint: TypeAlias = Callable[[], object]


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
    checkpoint: Checkpoint = lambda: None,
    sizes: Mapping[str, int] | None = None,
) -> Packed:
    """Pack whole store paths, in the order of their names.

    `sizes` are the NAR sizes that Nix knows: `StorePathLost` is raised if one is not.

    `checkpoint` is called once per chunk or file and may raise to stop.
    """
    stream = _Stream(sink, compression)
    _add_store_paths(stream, paths, checkpoint, sizes)
    return stream.finish()


def record_store_paths(
    paths: Iterable[str],
    sink: Sink,
    checkpoint: Checkpoint = lambda: None,
    sizes: Mapping[str, int] | None = None,
) -> Packed:
    """Write the recipe of what `pack_store_paths` writes uncompressed."""
    sealed = time.time_ns()  # before anything is read
    recorder = Recorder(sink.write)
    stream = _Stream(_Nowhere(), "none", recorder)
    _add_store_paths(stream, paths := sorted(paths), checkpoint, sizes)
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


class _Blob:
    """Takes the chunks of a tar, and compresses, hashes and writes them."""

    def __init__(self, sink: Sink, compression: str) -> None:
        self._sink = sink
        self._compressor = _compressor(compression)
        self._hash = hashlib.sha256()
        self.size = 0

    def take(self, chunk: memoryview) -> None:
        if self._compressor is None:
            self._sink.write(chunk)
            self.size += len(chunk)
        else:
            self._write(self._compressor.compress(chunk))

    def finish(self, diff_id: Digest) -> Packed:
        digest = diff_id  # uncompressed, the tar is the blob: one hash is enough
        if self._compressor is not None:
            self._write(self._compressor.flush())
            digest = Digest(self._hash.hexdigest())
        return Packed(digest=digest, diff_id=diff_id, size=self.size)

    def _write(self, data: bytes) -> None:
        self._hash.update(data)
        self._sink.write(data)
        self.size += len(data)


class _Stream:
    """Gathers the tar bytes of a layer.

    A `recorder` hears which of them are no file's, and of each file.
    """

    def __init__(
        self, sink: Sink, compression: str, recorder: Recorder | None = None
    ) -> None:
        self._recorder = recorder
        self._blob = _Blob(sink, compression)
        # No cycle leads back here: buffers go as soon as the layer is done.
        self._chunks = Chunks(self._blob.take)

    def add(self, data: bytes) -> None:
        if self._recorder is not None:
            self._recorder.add(data)
        self._chunks.add(data)

    def add_file(self, source: str, size: int, checkpoint: Checkpoint) -> int:
        """Add a file's content; give how many bytes it lacks of `size`."""
        if self._recorder is not None:
            self._recorder.add_file(source, size)
        fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return self._chunks.read(fd, size, checkpoint)
        finally:
            os.close(fd)

    def finish(self) -> Packed:
        self.add(tar.TRAILER)
        self._chunks.finish()
        return self._blob.finish(Digest(self._chunks.hashed.hexdigest()))


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
    stream: _Stream,
    paths: Iterable[str],
    checkpoint: Checkpoint,
    sizes: Mapping[str, int] | None,
) -> None:
    for parent in parents(paths := sorted(paths)):
        stream.add(tar.header(parent))
    for path in paths:
        found = nar.MAGIC
        try:
            for entry, source in walk(path):
                checkpoint()
                stream.add(tar.header(entry))
                if entry.kind is tar.Kind.FILE:
                    missing = stream.add_file(source, entry.size, checkpoint)
                    if missing:
                        why = f"it has {missing} bytes less than a moment ago"
                        raise StorePathLost(source, why)
                    stream.add(tar.padding(entry.size))
                found += nar.size_of(entry, is_root=source == path)
        except FileNotFoundError as error:
            raise StorePathLost(path, f"{error.filename} is gone") from error
        if sizes is not None and found != sizes[path]:
            raise StorePathLost(path, f"its NAR has {found} bytes, not {sizes[path]}")
