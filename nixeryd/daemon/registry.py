"""One registry out of two: the builder's images and the mirror's.

Which of them a request is for is decided by `images.routes.decide`, from the
name alone; neither is ever asked about the other's names.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import assert_never

import structlog

from nixeryd.builder.builder import Builder
from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.images.references import parse_name
from nixeryd.images.referrers import Referrers
from nixeryd.images.routes import (
    BlobRoute,
    ManifestRoute,
    Nix,
    ReferrersRoute,
    TagsRoute,
    Upstream,
    decide,
)
from nixeryd.images.served_manifests import (
    BlobFile,
    BlobHead,
    Manifest,
    Origin,
    Patience,
    TagList,
)
from nixeryd.mirror.download import ArrivingBlob
from nixeryd.mirror.mirror import Mirror
from nixeryd.store.streaming import StreamedBlob
from nixeryd.store.uses import Uses
from nixeryd.upstream.via import LONGEST, read_via

log = structlog.get_logger()


class Registry:
    """Sends each request to whoever answers for its name."""

    def __init__(
        self,
        builder: Builder,
        mirror: Mirror,
        uses: Uses,
        *,
        own_hosts: Collection[str],
        nix_prefixes: Collection[str],
    ) -> None:
        self._builder = builder
        self._mirror = mirror
        self._uses = uses
        self._own_hosts = own_hosts
        self.nix_prefixes = nix_prefixes

    def stands_in(self, repository: tuple[str, ...], origin: Origin) -> bool:
        """Return whether an image of another registry was meant, and is built here."""
        elsewhere = (
            origin.mirror if origin.ns is None else origin.ns not in self._own_hosts
        )
        return elsewhere and isinstance(self.decide(repository, origin), Nix)

    async def manifest(
        self, request: ManifestRoute, origin: Origin, patience: Patience
    ) -> Manifest:
        """Return a manifest, made or fetched if need be."""
        manifest = await self._find_manifest(request, origin, patience)
        self._uses.manifest(manifest.digest)
        return manifest

    async def _find_manifest(
        self, request: ManifestRoute, origin: Origin, patience: Patience
    ) -> Manifest:
        match self.decide(request.repository, origin):
            case Nix(components):
                return await self._builder.manifest(
                    components, request.reference, patience
                )
            case Upstream() as upstream:
                return await self._mirror.manifest(upstream, request.reference)
            case other:
                assert_never(other)

    async def blob(
        self, request: BlobRoute, origin: Origin
    ) -> BlobFile | ArrivingBlob | StreamedBlob:
        """Return a blob, fetched if need be."""
        self._uses.blob(request.digest)
        match self.decide(request.repository, origin):
            case Nix():
                return await self._built(request.digest)
            case Upstream() as upstream:
                return await self._mirror.blob(upstream, request.digest)
            case other:
                assert_never(other)

    async def blob_head(
        self, request: BlobRoute, origin: Origin
    ) -> BlobFile | BlobHead:
        """Say how large a blob is."""
        match self.decide(request.repository, origin):
            case Nix():
                built = await self._built(request.digest)
                return BlobHead(built.size, built.digest)
            case Upstream() as upstream:
                return await self._mirror.blob_head(upstream, request.digest)
            case other:
                assert_never(other)

    async def _built(self, digest: Digest) -> BlobFile | StreamedBlob:
        blob = self._builder.blob(digest)
        if isinstance(blob, StreamedBlob):
            await blob.require()
        return blob

    async def tags(self, request: TagsRoute, origin: Origin) -> TagList:
        """List the tags that a repository has here, or there."""
        match self.decide(request.repository, origin):
            case Nix(components):
                return TagList(tuple(self._builder.tags(components)))
            case Upstream() as upstream:
                return await self._mirror.tags(upstream, request.last)
            case other:
                assert_never(other)

    async def referrers(self, request: ReferrersRoute, origin: Origin) -> Referrers:
        """List what refers to a manifest; nothing refers to what is built here."""
        match self.decide(request.repository, origin):
            case Nix():
                return Referrers()
            case Upstream() as upstream:
                return await self._mirror.referrers(upstream, request.digest)
            case other:
                assert_never(other)

    def understand(self, name: str) -> tuple[Nix | Upstream, Digest | str]:
        """Read a name as people write it: who answers for it, and its tag or digest."""
        components, reference = parse_name(name, self._own_hosts)
        return self.decide(components, Origin()), reference

    def decide(self, repository: tuple[str, ...], origin: Origin) -> Nix | Upstream:
        """Say who answers for a repository; NAME_UNKNOWN (404) if nobody here does."""
        destination = decide(
            repository,
            ns=origin.ns,
            mirror=origin.mirror,
            upstreams=self._mirror.hosts,
            own_hosts=self._own_hosts,
            nix_prefixes=self.nix_prefixes,
        )
        if isinstance(destination, Upstream):
            return self._not_in_a_circle(destination, read_via(origin.via))
        return destination

    def _not_in_a_circle(self, destination: Upstream, via: tuple[str, ...]) -> Upstream:
        if self._mirror.via in via or len(via) > LONGEST:
            reason = (
                f"{destination.host} is asked for at this daemon by itself: its url in"
                " the configuration leads back here"
            )
            # Who asked is a mirror, which tells its client only that it is not there.
            log.error(reason, through=via)
            raise RegistryError(ErrorCode.NAME_UNKNOWN, reason)
        return replace(destination, via=via)
