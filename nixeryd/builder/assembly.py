"""Assembly: from a closure in the store to a manifest in the cache.

Groups the closure into layers, packs them on all cores, plants the symlink
forest on top, and writes config and manifest. The manifest is written last,
when everything it names is safe.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import trio

from nixeryd.builder.layers import Layers
from nixeryd.builder.listing import list_directory, programs
from nixeryd.builder.progress import LayerDone, Progress
from nixeryd.images.closures import Closure
from nixeryd.images.digests import Digest
from nixeryd.images.forest import build_forest
from nixeryd.images.layering import LayerPlan, plan_layers
from nixeryd.images.manifests import (
    DEFAULT_ENVIRONMENT,
    MANIFEST_TYPE,
    LayerDescriptor,
    Programs,
    default_command,
    describe_layer,
    render_config,
    render_manifest,
)
from nixeryd.images.names import ImageName
from nixeryd.nix.evaluate import ResolvedPackage
from nixeryd.store.blobs import Blobs
from nixeryd.store.index import StoredManifest
from nixeryd.store.leases import Lease

_FOREST = "nixeryd: links to the packages"


@dataclass(frozen=True, slots=True)
class _Layer:
    descriptor: LayerDescriptor
    history: str


async def assemble(  # noqa: PLR0913  what an image is made of
    image: ImageName,
    packages: Sequence[ResolvedPackage],
    closure: Closure,
    *,
    labels: Mapping[str, str],
    popularity: Mapping[str, int],
    layers: Layers,
    blobs: Blobs,
    progress: Progress,
    lease: Lease,
) -> StoredManifest:
    """Make the image of packages that are in the store, with this closure."""
    packed = await _pack(packages, closure, popularity, layers, progress, lease)
    descriptors = [layer.descriptor for layer in packed]
    requested = [
        Programs(package.main_program, programs(package.outputs))
        for package in packages
        if package.attribute in image.requested
    ]
    config = render_config(
        architecture=image.architecture,
        env=DEFAULT_ENVIRONMENT,
        cmd=default_command(requested, is_shell=image.is_shell),
        labels=labels,
        diff_ids=[descriptor.diff_id for descriptor in descriptors],
        history=[layer.history for layer in packed],
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


async def _pack(  # noqa: PLR0913, PLR0917  what layers are made of
    packages: Sequence[ResolvedPackage],
    closure: Closure,
    popularity: Mapping[str, int],
    layers: Layers,
    progress: Progress,
    lease: Lease,
) -> list[_Layer]:
    """Pack all layers side by side; the forest is the topmost."""
    outputs = [path for package in packages for path in package.outputs]
    plans = plan_layers(closure, outputs, popularity)
    packed: dict[int, _Layer] = {}

    def note(
        position: int, descriptor: LayerDescriptor, history: str, *, cached: bool
    ) -> None:
        packed[position] = _Layer(descriptor, history)
        progress.tell(
            LayerDone(
                done=len(packed),
                total=len(plans) + 1,
                size=descriptor.size,
                cached=cached,
            )
        )

    async def pack(position: int, paths: Sequence[str]) -> None:
        descriptor, cached = await layers.of_paths(paths, closure, lease)
        note(position, descriptor, describe_layer(paths), cached=cached)

    async def plant() -> None:
        entries = await trio.to_thread.run_sync(build_forest, outputs, list_directory)
        descriptor, cached = await layers.of_entries(entries, lease)
        note(len(plans), descriptor, _FOREST, cached=cached)

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(plant)
            for position, plan in _largest_first(plans):
                nursery.start_soon(pack, position, plan.paths)
                # In that order: trio starts the tasks of one turn in any.
                await trio.lowlevel.checkpoint()
    except* Exception as group:
        # One clear error for whoever asked; the others stopped because of it.
        raise _first(group) from group
    return [packed[position] for position in sorted(packed)]


def _largest_first(plans: Sequence[LayerPlan]) -> list[tuple[int, LayerPlan]]:
    """Order the work so that no core packs a large layer while others have none."""
    return sorted(enumerate(plans), key=lambda plan: -plan[1].nar_size)


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    error: Exception = group  # type: ignore[assignment]  # except* gives a group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
