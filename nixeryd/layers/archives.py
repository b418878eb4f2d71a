"""OCI archives of one image, that `docker load` takes too: what is in which order.

An OCI image layout in a tar, with the manifest.json beside it that Docker reads.
The blobs are as they are; the same image under the same name is the same archive,
byte for byte. Knows nothing of where blobs are: whoever writes it, adds them.

https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md (manifest.json)
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from nixeryd.images.descriptors import Descriptor
from nixeryd.images.manifests import INDEX_TYPE
from nixeryd.layers import tar

Piece: TypeAlias = bytes | Descriptor
"""Bytes as they are, or a blob's."""


@dataclass(frozen=True, slots=True)
class Exported:
    """An image to export: `name` with its tag is what it is called when loaded."""

    name: str
    tag: str
    media_type: str
    manifest: Descriptor
    blobs: Sequence[Descriptor]  # the config, then the layers from the lowest up


def plan_archive(image: Exported) -> tuple[Piece, ...]:
    """Return all pieces of the archive, in order."""
    return tuple(_pieces(image))


def archive_size(pieces: Sequence[Piece]) -> int:
    """Compute an archive's size in bytes."""
    return sum(
        len(piece) if isinstance(piece, bytes) else piece.size for piece in pieces
    )


def _pieces(image: Exported) -> Iterator[Piece]:
    # Small things first: who reads a stream knows what is to come.
    for name, value in (
        ("oci-layout", {"imageLayoutVersion": "1.0.0"}),
        ("index.json", _index(image)),
        ("manifest.json", _docker_manifest(image)),
    ):
        body = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
        yield from (_file(name, len(body)), body, tar.padding(len(body)))
    for name in ("blobs", "blobs/sha256"):
        yield tar.header(tar.Entry(name, tar.Kind.DIRECTORY, 0o755))
    blobs = {blob.digest: blob for blob in (image.manifest, *image.blobs)}
    for _, blob in sorted(blobs.items()):
        yield from (_file(_place(blob), blob.size), blob, tar.padding(blob.size))
    yield tar.TRAILER


def _file(name: str, size: int) -> bytes:
    return tar.header(tar.Entry(name, tar.Kind.FILE, 0o644, size))


def _place(blob: Descriptor) -> str:
    return f"blobs/sha256/{blob.digest.hex}"


def _index(image: Exported) -> object:
    return {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [
            {
                "mediaType": image.media_type,
                "digest": str(image.manifest.digest),
                "size": image.manifest.size,
                "annotations": {
                    # Podman and skopeo read one, containerd and Docker the other.
                    "org.opencontainers.image.ref.name": image.tag,
                    "io.containerd.image.name": image.name,
                },
            }
        ],
    }


def _docker_manifest(image: Exported) -> object:
    config, *layers = image.blobs
    return [
        {
            "Config": _place(config),
            "RepoTags": [image.name],
            "Layers": [_place(layer) for layer in layers],
        }
    ]
