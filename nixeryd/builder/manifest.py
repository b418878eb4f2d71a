"""Write an image's config and manifest, when all that they name is safe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from nixeryd.builder.listing import has_file, programs
from nixeryd.images.digests import Digest
from nixeryd.images.manifests import (
    CERTIFICATES,
    MANIFEST_TYPE,
    LayerDescriptor,
    Programs,
    default_command,
    default_environment,
    render_config,
    render_manifest,
)
from nixeryd.images.names import ImageName
from nixeryd.nix.evaluate import ResolvedPackage
from nixeryd.store.blobs import Blobs
from nixeryd.store.index import Index, StoredManifest
from nixeryd.store.leases import Lease
from nixeryd.store.publishing import publish


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer in the cache, and the line that says how it was made."""

    descriptor: LayerDescriptor
    history: str


async def write_manifest(  # noqa: PLR0913  what an image is made of
    image: ImageName,
    packages: Sequence[ResolvedPackage],
    layers: Sequence[Layer],
    *,
    labels: Mapping[str, str],
    blobs: Blobs,
    index: Index,
    lease: Lease,
) -> StoredManifest:
    """Write the manifest of an image with these layers, the lowest first."""
    descriptors = [layer.descriptor for layer in layers]
    requested = [
        Programs(package.main_program, programs(package.outputs))
        for package in packages
        if package.attribute in (*image.requested, *image.store_paths)
    ]
    outputs = [output for package in packages for output in package.outputs]
    has_certificates = has_file(outputs, CERTIFICATES)
    config = render_config(
        architecture=image.architecture,
        env=default_environment(has_certificates=has_certificates),
        cmd=default_command(requested, is_shell=image.is_shell),
        labels=labels,
        diff_ids=[descriptor.diff_id for descriptor in descriptors],
        history=[layer.history for layer in layers],
    )
    manifest = render_manifest(config, descriptors)
    lease.add(Digest.of(config))
    lease.add(Digest.of(manifest))

    for kind, body in (("config", config), ("manifest", manifest)):
        await publish(
            blobs,
            digest := Digest.of(body),
            partial(blobs.put, body),
            partial(index.add_blob, digest, len(body)),
            kind=kind,
        )
    return StoredManifest(
        digest=Digest.of(manifest),
        media_type=MANIFEST_TYPE,
        blobs=(Digest.of(config), *(descriptor.digest for descriptor in descriptors)),
        size=len(config) + sum(descriptor.size for descriptor in descriptors),
    )
