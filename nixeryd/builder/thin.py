"""Assembly of a thin image: one layer without contents, and a list that keeps it.

The closure stays in the store and must not go from it while the image is kept: the
list of it is a store path that refers to all of it, rooted with what was built.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import trio

from nixeryd.builder.collisions import plant
from nixeryd.builder.forest import Collision
from nixeryd.builder.layers import Layers
from nixeryd.builder.manifest import Layer, write_manifest
from nixeryd.builder.progress import LayerDone, Progress
from nixeryd.images.closures import Closure
from nixeryd.images.names import ImageName
from nixeryd.layers import thin
from nixeryd.layers.tar import Entry
from nixeryd.nix.closurelist import list_closure
from nixeryd.nix.evaluate import ResolvedPackage
from nixeryd.nix.process import Nix
from nixeryd.store.blobs import Blobs
from nixeryd.store.index import Index, StoredManifest
from nixeryd.store.leases import Lease

_HISTORY = "nixeryd: links to the packages, mount points for {} store paths"


async def assemble_thin(  # noqa: PLR0913  what an image is made of
    image: ImageName,
    packages: Sequence[ResolvedPackage],
    closure: Closure,
    *,
    nix: Nix,
    roots: Path,
    labels: Mapping[str, str],
    layers: Layers,
    blobs: Blobs,
    index: Index,
    progress: Progress,
    lease: Lease,
) -> tuple[StoredManifest, tuple[Collision, ...]]:
    """Make the thin image of packages that are in the store, with this closure.

    Return the collisions of files as well.
    The list of the closure is rooted in the directory `roots`.
    """
    outputs = [path for package in packages for path in package.outputs]
    listed = await list_closure(nix, outputs, thin.list_archive(closure), roots)

    def plan() -> tuple[tuple[Entry, ...], tuple[Collision, ...]]:
        forest, collisions = plant(packages)
        return thin.layer_entries(closure, forest, os.path.isdir), collisions

    entries, collisions = await trio.to_thread.run_sync(plan)
    descriptor, is_cached = await layers.of_entries(entries, lease)
    progress.tell(LayerDone(done=1, total=1, size=descriptor.size, cached=is_cached))
    annotated = replace(descriptor, annotations=thin.annotations(listed, closure))
    made = await write_manifest(
        image,
        packages,
        [Layer(annotated, _HISTORY.format(len(closure)))],
        labels={
            **labels,
            "org.opencontainers.image.description": thin.DESCRIPTION,
            thin.CLOSURE_LABEL: listed,
        },
        blobs=blobs,
        index=index,
        lease=lease,
    )
    return made, collisions


def emulation_warning(image: ImageName, system: str) -> str | None:
    """Say if a thin image has programs that this machine, a `system`, has to emulate.

    They run nowhere else, whereas an ordinary image may be meant for elsewhere.
    """
    if not image.is_thin or image.system == system:
        return None
    return (
        f"warning: {image.repository} mounts programs for {image.architecture}, which"
        " this machine runs by emulation only (binfmt_misc and qemu)"
    )
