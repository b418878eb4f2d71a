"""One registry out of two: the builder's images and the mirror's.

Which of them a request is for is decided by `images.routes.decide`, from the
name alone; neither is ever asked about the other's names.
"""

from collections.abc import Collection
from typing import assert_never

from nixeryd.builder.builder import Builder
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.images.routes import (
    BlobRoute,
    ManifestRoute,
    Nix,
    TagsRoute,
    Upstream,
    decide,
)
from nixeryd.images.served import BlobFile, Manifest, Origin, Patience
from nixeryd.store.uses import Uses


class Registry:
    """Sends each request to whoever answers for its name."""

    def __init__(
        self,
        builder: Builder,
        uses: Uses,
        *,
        upstreams: Collection[str],
        own_hosts: Collection[str],
        nix_prefixes: Collection[str],
    ) -> None:
        self._builder = builder
        self._uses = uses
        self._upstreams = upstreams
        self._own_hosts = own_hosts
        self.nix_prefixes = nix_prefixes

    async def manifest(
        self, request: ManifestRoute, origin: Origin, patience: Patience
    ) -> Manifest:
        """Give a manifest, made or fetched if need be."""
        manifest = await self._find_manifest(request, origin, patience)
        self._uses.manifest(manifest.digest)
        return manifest

    async def _find_manifest(
        self, request: ManifestRoute, origin: Origin, patience: Patience
    ) -> Manifest:
        match self._decide(request.repository, origin):
            case Nix(components):
                return await self._builder.manifest(
                    components, request.reference, patience
                )
            case Upstream() as upstream:
                raise _not_mirrored(upstream)
            case other:
                assert_never(other)

    async def blob(self, request: BlobRoute, origin: Origin) -> BlobFile:
        """Give a blob."""
        self._uses.blob(request.digest)
        match self._decide(request.repository, origin):
            case Nix():
                return self._builder.blob(request.digest)
            case Upstream() as upstream:
                raise _not_mirrored(upstream)
            case other:
                assert_never(other)

    async def tags(self, request: TagsRoute, origin: Origin) -> list[str]:
        """List the tags that a repository has here."""
        match self._decide(request.repository, origin):
            case Nix(components):
                return self._builder.tags(components)
            case Upstream() as upstream:
                raise _not_mirrored(upstream)
            case other:
                assert_never(other)

    def _decide(self, repository: tuple[str, ...], origin: Origin) -> Nix | Upstream:
        return decide(
            repository,
            ns=origin.ns,
            mirror=origin.mirror,
            upstreams=self._upstreams,
            own_hosts=self._own_hosts,
            nix_prefixes=self.nix_prefixes,
        )


def _not_mirrored(upstream: Upstream) -> RegistryError:
    """404, at which a client goes on to the upstream itself."""
    return RegistryError(
        ErrorCode.MANIFEST_UNKNOWN,
        f"{upstream.repository} of {upstream.host} is not mirrored here",
    )
