"""Write an image's config and manifest, when all that they name is safe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import trio

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
from nixeryd.store.index import StoredManifest
from nixeryd.store.leases import Lease


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

    def store() -> tuple[Digest, Digest]:
        return blobs.put(config), blobs.put(manifest)

    config_digest, digest = await trio.to_thread.run_sync(store)
    return StoredManifest(
        digest=digest,
        media_type=MANIFEST_TYPE,
        blobs=(config_digest, *(descriptor.digest for descriptor in descriptors)),
        size=len(config) + sum(descriptor.size for descriptor in descriptors),
    )
