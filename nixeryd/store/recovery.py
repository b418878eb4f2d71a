"""Recovery: an index that was lost, made anew from the blobs.

A blob that reads as a manifest is one. What is found can be pulled by its digest, and
is evicted in its turn; the names, and what was built from what, are lost, so the next
pull by name builds or fetches, and finds all it needs.
"""

from typing import Any

import msgspec
import structlog

from nixeryd.images.descriptors import Image, UnreadableManifest, read_descriptors
from nixeryd.images.digests import Digest
from nixeryd.images.manifests import INDEX_TYPE, MANIFEST_TYPE
from nixeryd.store.blobs import Blobs
from nixeryd.store.index import Index, StoredManifest

log = structlog.get_logger()

_TYPES = frozenset(
    {
        MANIFEST_TYPE,
        INDEX_TYPE,
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
# Bytes; no client reads a larger one.
_LARGEST = 4 * 1024 * 1024


class _Manifest(msgspec.Struct):
    """What all manifests have, as far as it tells what they are."""

    schemaVersion: int  # noqa: N815  the spec's name
    mediaType: str | None = None  # noqa: N815
    manifests: Any = None


def recover(blobs: Blobs, index: Index) -> int:
    """Add all manifests that are among the blobs; gives how many.

    Images of which a blob is missing are left out: they would be served by halves.
    """
    sizes = {digest: blob.size for digest, blob in blobs.listing().items()}
    found = 0
    for text, size in sizes.items():
        digest = Digest.parse(text)
        is_small = size <= _LARGEST and blobs.has_file(digest)
        if is_small and _may_be_json(blobs, digest):
            manifest = _read(digest, blobs.read(digest) or b"", sizes)
            if manifest is not None:
                index.add_manifest(manifest)
                found += 1
    if sizes:
        log.warning("the index was lost; it is made anew", manifests=found)
    return found


def _may_be_json(blobs: Blobs, digest: Digest) -> bool:
    with blobs.path(digest).open("rb") as file:
        return file.read(1) == b"{"


def _read(digest: Digest, body: bytes, sizes: dict[str, int]) -> StoredManifest | None:
    if Digest.of(body) != digest:
        return None
    try:
        found = msgspec.json.decode(body, type=_Manifest)
        default = MANIFEST_TYPE if found.manifests is None else INDEX_TYPE
        media_type = found.mediaType or default
        if media_type not in _TYPES:
            return None
        named = read_descriptors(body, media_type)
    except (msgspec.DecodeError, UnicodeDecodeError, UnreadableManifest):
        return None
    parts = named.blobs if isinstance(named, Image) else named.manifests
    here = [sizes.get(str(part.digest)) == part.size for part in parts]
    if not (all(here) if isinstance(named, Image) else any(here)):
        return None
    return StoredManifest(
        digest=digest,
        media_type=media_type,
        blobs=tuple(part.digest for part in parts),
        size=sum(part.size for part in parts),
    )
