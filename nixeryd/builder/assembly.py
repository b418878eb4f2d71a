"""Assembly: from a closure in the store to a manifest in the cache.

Groups the closure into layers, packs them on all cores, and plants the symlink
forest on top.
"""

from collections.abc import Mapping, Sequence

import trio

from nixeryd.builder.collisions import plant
from nixeryd.builder.forest import Collision
from nixeryd.builder.layering import LayerPlan, plan_layers
from nixeryd.builder.layers import Layers
from nixeryd.builder.manifest import Layer, write_manifest
from nixeryd.builder.progress import LayerDone, Progress
from nixeryd.images.closures import Closure
from nixeryd.images.manifests import LayerDescriptor, describe_layer
from nixeryd.images.names import ImageName
from nixeryd.nix.evaluate import ResolvedPackage
from nixeryd.runtime.nurseries import open_flat_nursery
from nixeryd.store.blobs import Blobs
from nixeryd.store.index import Index, StoredManifest
from nixeryd.store.leases import Lease

FOREST = "nixeryd: links to the packages"


async def assemble(  # noqa: PLR0913  what an image is made of
    image: ImageName,
    packages: Sequence[ResolvedPackage],
    closure: Closure,
    *,
    labels: Mapping[str, str],
    popularity: Mapping[str, int],
    layers: Layers,
    blobs: Blobs,
    index: Index,
    progress: Progress,
    lease: Lease,
) -> tuple[StoredManifest, tuple[Collision, ...]]:
    """Make the image of packages that are in the store, with this closure.

    Return the collisions of files as well.
    """
    packed, found = await _pack(packages, closure, popularity, layers, progress, lease)
    made = await write_manifest(
        image, packages, packed, labels=labels, blobs=blobs, index=index, lease=lease
    )
    return made, found


async def _pack(  # noqa: PLR0913, PLR0917  what layers are made of
    packages: Sequence[ResolvedPackage],
    closure: Closure,
    popularity: Mapping[str, int],
    layers: Layers,
    progress: Progress,
    lease: Lease,
) -> tuple[list[Layer], tuple[Collision, ...]]:
    """Pack all layers side by side; the forest is the topmost."""
    collisions: tuple[Collision, ...] = ()
    outputs = [path for package in packages for path in package.outputs]
    plans = plan_layers(closure, outputs, popularity)
    packed: dict[int, Layer] = {}

    def note(
        position: int, descriptor: LayerDescriptor, history: str, *, cached: bool
    ) -> None:
        packed[position] = Layer(descriptor, history)
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

    async def pack_forest() -> None:
        nonlocal collisions
        entries, collisions = await trio.to_thread.run_sync(plant, packages)
        descriptor, cached = await layers.of_entries(entries, lease)
        note(len(plans), descriptor, FOREST, cached=cached)

    async with open_flat_nursery() as nursery:
        nursery.start_soon(pack_forest)
        for position, plan in _largest_first(plans):
            nursery.start_soon(pack, position, plan.paths)
            # In that order: trio starts the tasks of one turn in any.
            await trio.lowlevel.checkpoint()
    return [packed[position] for position in sorted(packed)], collisions


def _largest_first(plans: Sequence[LayerPlan]) -> list[tuple[int, LayerPlan]]:
    """Order the work so that no core packs a large layer while others have none."""
    return sorted(enumerate(plans), key=lambda plan: -plan[1].nar_size)
