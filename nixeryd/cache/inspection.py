"""Inspection: which images share a layer, what brings a path in, what a tag was.

Computed when somebody looks, in a thread: a closure of thousands of paths takes half
a second.
"""

from collections.abc import Collection
from pathlib import Path

import trio

from nixeryd.api.contents import Branch, Inside, Target, Why
from nixeryd.cache.ancestry import biggest_branches, shortest_chain
from nixeryd.images.descriptors import Image, read_descriptors
from nixeryd.images.numbering import count_uses
from nixeryd.store.blobs import Blobs
from nixeryd.store.index import Index, StoredManifest
from nixeryd.store.names import Name
from nixeryd.store.snapshot import CacheSnapshot, read_holdings


class Inspection:
    """Looks into images."""

    def __init__(self, blobs: Blobs, index: Index, index_path: Path) -> None:
        self._blobs = blobs
        self._index = index
        self._index_path = index_path

    async def look(self, name: Name, image: StoredManifest | None) -> Inside:
        """Tell what is inside the image that a name leads to."""
        digest = image.digest if image else name.manifest
        body = self._blobs.read(digest) or b""
        inside = self._index.insides.find(digest)
        history = self._index.insides.history(name.kind, str(name))

        def compute() -> Inside:
            layers = []
            if image is not None:
                named = read_descriptors(body, image.media_type)
                layers = list(named.blobs[1:]) if isinstance(named, Image) else []
            holdings = read_holdings(self._index_path)
            numbers = [holdings.numbering.number(str(one.digest)) for one in layers]
            users = _users(holdings, numbers)
            closure = inside.closure if inside else {}
            found = biggest_branches(closure, inside.roots if inside else ())
            return Inside(
                manifest=body.decode(errors="replace"),
                others=tuple(max(0, users[number] - 1) for number in numbers),
                sizes={path: info.nar_size for path, info in closure.items()},
                packages=inside.packages if inside else {},
                branches=tuple(
                    Branch(
                        path=one.path,
                        name=store_name(one.path),
                        depth=one.depth,
                        own=one.own,
                        alone=one.alone,
                        whole=one.whole,
                        paths=one.paths,
                    )
                    for one in found
                ),
                history=tuple(Target(str(one), since) for one, since in history),
                warnings=inside.warnings if inside else (),
            )

        return await trio.to_thread.run_sync(compute)

    async def why(self, image: StoredManifest | None, path: str) -> Why:
        """Tell why a path is in an image."""
        await trio.lowlevel.checkpoint()
        inside = self._index.insides.find(image.digest) if image else None
        if inside is None:
            return Why(path, "", ())
        chain = shortest_chain(inside.closure, inside.roots, path)
        package = (
            next(
                (name for name, paths in inside.packages.items() if chain[0] in paths),
                "",
            )
            if chain
            else ""
        )
        return Why(path, package, chain)


def _users(holdings: CacheSnapshot, layers: Collection[int]) -> list[int]:
    """Count for each blob the images that have it: those which a name leads to."""
    held = {manifest.number: manifest for manifest in holdings.held}
    images = held.keys() & holdings.named
    # Of an index, the images that it names.
    images |= held.keys() & {need for one in images for need in held[one].needs}
    return count_uses([held[one].needs for one in images], layers)


def store_name(path: str) -> str:
    """Return what people call a store path: its name without the hash."""
    return path.rpartition("/")[2].partition("-")[2] or path
