"""What the command line and the page ask about the cache, and have done to it.

A name is understood as a client of the main listener would be: it says itself
whether it is a build's or a mirrored image's.
"""

import difflib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import assert_never

import trio

from nixeryd.api.contents import Inside, Why
from nixeryd.api.images import Checked, Checking, Evicted, ImageDetails, ImageList
from nixeryd.cache import planning
from nixeryd.cache.archive import Archive
from nixeryd.cache.catalogue import Catalogue, gone
from nixeryd.cache.eviction import Evictor
from nixeryd.cache.inspection import Inspection
from nixeryd.cache.verification import Verification
from nixeryd.images.descriptors import Descriptor
from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.images.names import NamePolicy, parse_image
from nixeryd.images.routes import Nix, Upstream
from nixeryd.layers.archives import Exported, plan_archive
from nixeryd.store.blobs import Blobs
from nixeryd.store.index import Index
from nixeryd.store.names import Kind, Name
from nixeryd.store.recipe import Recipe


class CacheAdmin:
    """Answers for the cache; see `web.ports.Cache`."""

    def __init__(  # noqa: PLR0913  the composition root wires it once
        self,
        blobs: Blobs,
        index: Index,
        evictor: Evictor,
        catalogue: Catalogue,
        *,
        index_path: Path,
        understand: Callable[[str], tuple[Nix | Upstream, Digest | str]],
        policy: Callable[[], NamePolicy],
        address: str,
    ) -> None:
        self._blobs = blobs
        self._index = index
        self._evictor = evictor
        self._catalogue = catalogue
        self._index_path = index_path
        self._inspection = Inspection(blobs, index, index_path)
        self._understand = understand
        self._policy = policy
        self._address = address  # ours, as it is in the names of what we build

    async def images(self) -> ImageList:
        """List all that is in the cache."""
        return await self._catalogue.list(self._evictor.cap)

    async def show(self, name: str) -> ImageDetails:
        """Tell all of an image."""
        return await self._catalogue.show(self._find(name))

    async def inside(self, name: str) -> Inside:
        """Tell what an image shares, what is in it why, and what its tag was."""
        found = self._find(name)
        whole = self._catalogue.whole(found.manifest)
        return await self._inspection.look(found, whole.stored if whole else None)

    async def why(self, name: str, path: str) -> Why:
        """Tell why a store path is in an image."""
        whole = self._catalogue.whole(self._find(name).manifest)
        return await self._inspection.why(whole.stored if whole else None, path)

    async def remove(self, names: Sequence[str]) -> Evicted:
        """Remove all these images, or none if any is pinned or not here."""
        found = list(dict.fromkeys(map(self._find, names)))
        for name in found:
            if name.pinned:
                raise RegistryError(
                    ErrorCode.DENIED, f"{name} is pinned: first nixeryd unpin {name}"
                )
        return _told(await self._evictor.remove(found))

    async def collect(self, max_size: int | None, *, dry_run: bool) -> Evicted:
        """Make room: down to `max_size` bytes, or the cap; nothing if there is none."""
        cap = self._evictor.cap if max_size is None else max_size
        if cap is None:
            raise RegistryError(
                ErrorCode.DENIED,
                "the cache has no cap: say how large it may be, gc --max-size 5GB",
            )
        evicted = await self._evictor.evict(cap, dry_run=dry_run, spare_pulls=False)
        return _told(evicted, dry_run=dry_run)

    async def pin(self, names: Sequence[str], *, pinned: bool) -> list[str]:
        """Pin images or unpin them, all or none; gives their whole names."""
        await trio.lowlevel.checkpoint()
        found = [self._find(name) for name in names]
        for name in found:
            if pinned:
                # It may be about to be evicted.
                self._blobs.leases.pin(name.manifest)
                self._index.names.pin(name)
            else:
                self._index.names.unpin(name)
        return [str(name) for name in found]

    def verify(
        self, *, repair: bool
    ) -> AbstractAsyncContextManager[trio.abc.ReceiveChannel[Checking | Checked]]:
        """Read all blobs and tell how it goes."""
        verification = Verification(
            self._blobs, self._index, self._index_path, self._evictor.discard
        )
        return verification.run(repair=repair)

    async def export(self, name: str) -> Archive:
        """Return an image's archive."""
        found = self._find(name)
        whole = self._catalogue.whole(found.manifest)
        blobs = whole.blobs if whole else ()
        is_here = await trio.to_thread.run_sync(lambda: all(map(self._is_here, blobs)))
        if whole is None or not is_here:
            raise RegistryError(
                ErrorCode.MANIFEST_UNKNOWN,
                f"{found} is not whole here: first nixeryd pull {found}",
            )
        own = f"{self._address}/" if found.kind is Kind.NIX else ""
        exported = Exported(
            name=f"{own}{found}",
            tag=found.tag,
            media_type=whole.stored.media_type,
            manifest=Descriptor(whole.stored.digest, whole.size),
            blobs=whole.blobs,
        )
        return Archive(self._blobs, plan_archive(exported))

    def _is_here(self, blob: Descriptor) -> bool:
        found = self._blobs.find(blob.digest)
        if isinstance(found, Recipe) and found.missing():
            return False
        return found is not None and found.size == blob.size

    def _find(self, text: str) -> Name:
        """Find what is meant, or say what is near it."""
        route, reference = self._understand(text)
        if isinstance(reference, Digest):
            raise RegistryError(
                ErrorCode.NAME_INVALID, f"{text}: say which by its tag, not by a digest"
            )
        match route:
            case Nix(components):
                kind, image = Kind.NIX, parse_image(components, self._policy()).key
                repository = "/".join(components)
            case Upstream(host, name):
                kind, image = Kind.MIRRORED, f"{host}/{name}"
                repository = image
            case other:
                assert_never(other)
        found = self._index.names.find(kind, image, reference)
        if found is None:
            raise gone(f"{repository}:{reference}{self._near(repository)}")
        return found

    def _near(self, repository: str) -> str:
        known = {name.repository: name for name in self._index.names.all()}
        near = difflib.get_close_matches(repository, known, n=1)
        return f" (did you mean {known[near[0]]}?)" if near else ""


def _told(evicted: planning.Evicted, *, dry_run: bool = False) -> Evicted:
    return Evicted(
        freed=evicted.freed,
        left=evicted.left,
        manifests=evicted.manifests,
        blobs=evicted.blobs,
        images=tuple(sorted(str(name) for name in evicted.names)),
        dry_run=dry_run,
    )
