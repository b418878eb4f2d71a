"""Layers: packed once per key, whoever asks and however many.

A layer's key says what goes in: the store paths with their content hashes, the
tar format and the compression. Cache check, packing, storing and the index row
all happen under the key's lock (`store.locks` tells why). From then on the layer
is leased to the build, which is the only one to know that it is needed.

A layer that is streamed is the same layer, kept as its recipe: the same key and the
same digest, so whichever is there is used.
"""

import copy
import json
import os
from collections.abc import Callable, Sequence
from functools import partial

import structlog
import trio

from nixeryd.images.closures import Closure
from nixeryd.images.digests import Digest
from nixeryd.images.manifests import LayerDescriptor, layer_media_type
from nixeryd.layers import tar
from nixeryd.layers.packing import (
    Packed,
    Sink,
    pack_entries,
    pack_store_paths,
    record_entries,
    record_store_paths,
)
from nixeryd.runtime.locks import KeyedLocks
from nixeryd.runtime.metrics import LAYERS
from nixeryd.store.blobs import Blobs
from nixeryd.store.index import Index
from nixeryd.store.leases import Lease
from nixeryd.store.publishing import publish
from nixeryd.store.staged import Staged

log = structlog.get_logger()

_Pack = Callable[[Sink], Packed]


class Layers:
    """Makes layers, or finds them made."""

    def __init__(
        self, blobs: Blobs, index: Index, compression: str, *, stream: bool = False
    ) -> None:
        self._blobs = blobs
        self._index = index
        self.compression = compression
        self._stream = stream
        self._locks = KeyedLocks()
        # Hashing takes a core: more at once would only share it.
        self._packers = trio.CapacityLimiter(os.cpu_count() or 1)
        # Waiting for the disk takes none, and the disk likes company.
        self._committers = trio.CapacityLimiter(8)

    def changed(self, compression: str, *, stream: bool) -> "Layers":
        """Return what keeps new layers in another way, under the same locks."""
        changed = copy.copy(self)
        changed.compression = compression
        changed._stream = stream  # noqa: SLF001  of one of us
        return changed

    @property
    def packing(self) -> int:
        """How many layers are being packed or waited for."""
        return len(self._locks)

    async def of_paths(
        self, paths: Sequence[str], closure: Closure, lease: Lease
    ) -> tuple[LayerDescriptor, bool]:
        """Return the layer of these store paths, and whether it was there already."""
        contents = [[path, closure[path].nar_hash] for path in sorted(paths)]

        sizes = {path: closure[path].nar_size for path in paths}

        def pack(sink: Sink) -> Packed:
            check = trio.from_thread.check_cancelled
            if self._stream:
                return record_store_paths(paths, sink, check, sizes)
            return pack_store_paths(paths, sink, self.compression, check, sizes)

        return await self._get(contents, paths, pack, lease)

    async def of_entries(
        self, entries: Sequence[tar.Entry], lease: Lease
    ) -> tuple[LayerDescriptor, bool]:
        """Return the layer of entries without content: the symlink forest."""
        headers = Digest.of(b"".join(map(tar.header, entries)))

        def pack(sink: Sink) -> Packed:
            if self._stream:
                return record_entries(entries, sink)
            return pack_entries(entries, sink, self.compression)

        return await self._get(str(headers), (), pack, lease)

    async def _get(
        self, contents: object, paths: Sequence[str], pack: _Pack, lease: Lease
    ) -> tuple[LayerDescriptor, bool]:
        key = layer_key(contents, self.compression)
        async with self._locks.hold(key):
            known = self._index.layer(key)
            if known and self._blobs.size(known.digest) == known.size:
                lease.add(known.digest)
                LAYERS.inc("found")
                _log_layer("layer found", known, paths)
                return known, True
            return await self._pack(key, paths, pack, lease), False

    async def _pack(
        self, key: str, paths: Sequence[str], pack: _Pack, lease: Lease
    ) -> LayerDescriptor:
        with self._blobs.stage() as staged:
            packed = await trio.to_thread.run_sync(pack, staged, limiter=self._packers)
            layer = LayerDescriptor(
                digest=packed.digest,
                diff_id=packed.diff_id,
                size=packed.size,
                media_type=layer_media_type(self.compression),
            )
            lease.add(layer.digest)
            await publish(
                self._blobs,
                layer.digest,
                partial(self._commit, staged, packed),
                partial(self._index.add_layer, key, layer, paths),
                kind="layer",
                limiter=self._committers,
            )
        LAYERS.inc("packed")
        _log_layer("layer packed", layer, paths)
        return layer

    def _commit(self, staged: Staged, packed: Packed) -> None:
        if self._stream:
            staged.commit_recipe(packed.digest, packed.size)
        else:
            staged.commit(packed.digest)


def _log_layer(event: str, layer: LayerDescriptor, paths: Sequence[str]) -> None:
    log.debug(event, digest=str(layer.digest), bytes=layer.size, paths=list(paths))


def layer_key(contents: object, compression: str) -> str:
    """Compute the key of a layer from all that its bytes depend on."""
    return Digest.of(json.dumps([tar.FORMAT, compression, contents]).encode()).hex
