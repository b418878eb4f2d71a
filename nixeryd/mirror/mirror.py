"""The mirror: answers for the images of other registries.

Law: nothing is asked of an upstream but what a client asked for and is not here, or
may be old; nothing at all while offline. What an upstream does not have is 404, what
cannot be had now is 403 with the reason; at either, clients go on to the upstream.
"""

import time
from collections.abc import Callable, Collection

import structlog
import trio

from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.images.referrers import Referrers
from nixeryd.images.routes import Upstream as Route
from nixeryd.images.served_manifests import BlobFile, BlobHead, Manifest, TagList
from nixeryd.mirror.download import ArrivingBlob, Download
from nixeryd.mirror.downloads import RESUMING, Downloads
from nixeryd.mirror.errors import denied, refusal
from nixeryd.mirror.manifests import Manifests
from nixeryd.mirror.referrers import ReferrersOf
from nixeryd.mirror.sources import Upstreams
from nixeryd.mirror.tags import Tags
from nixeryd.runtime.offline import Offline
from nixeryd.store.blobs import Blobs
from nixeryd.store.index import Index
from nixeryd.store.mirrored import UpstreamRepository
from nixeryd.upstream import RetryPolicy, Upstream
from nixeryd.upstream.trust import is_near

log = structlog.get_logger()

# Bytes. What comes in one piece anyway is not answered before it is known to be right.
SMALL = 64 * 1024


class ToldOffline(NixerydError):  # noqa: N818  a state
    """The user wants no network traffic from now on."""


class Mirror:
    """Gives what upstreams have, and keeps it."""

    def __init__(  # noqa: PLR0913  the composition root wires it once
        self,
        upstreams: Upstreams,
        blobs: Blobs,
        index: Index,
        nursery: trio.Nursery,
        *,
        ttl: float,
        offline: Offline,
        resuming: RetryPolicy = RESUMING,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.use(upstreams)
        self._blobs = blobs
        self._index = index
        self.offline = offline
        self.downloads = Downloads(blobs, index.mirrored, nursery, resuming)
        self._manifests = Manifests(
            blobs,
            index,
            nursery,
            ttl=ttl,
            is_offline=self._is_offline,
            now=now,
        )
        self._tags = Tags(index, nursery, is_offline=self._is_offline)
        self._referrers = ReferrersOf(index.lists, nursery, is_offline=self._is_offline)

    def use(self, upstreams: Upstreams) -> None:
        """Ask these from now on; what is on its way goes on."""
        self._upstreams = upstreams
        # What is on this machine, or beside it, is reachable without a way out.
        self._near = {
            name
            for name, upstream in upstreams.clients.items()
            if is_near(upstream.url)
        }

    def set_ttl(self, seconds: float) -> None:
        """Take a tag for fresh for so long, from now on."""
        self._manifests.ttl = seconds

    def set_offline(self, *, offline: bool) -> None:
        """Go offline, which breaks off what is on its way, or come back."""
        self.offline.told = offline
        if offline:
            self.downloads.stop(ToldOffline("nixeryd was told to be offline"))
        else:
            self._manifests.forget_failures()

    @property
    def hosts(self) -> Collection[str]:
        """The names of all that is mirrored."""
        return self._upstreams.clients.keys()

    @property
    def via(self) -> str:
        """How upstreams see us, and so we ourselves if a request comes round."""
        return self._upstreams.via

    @property
    def upstreams(self) -> list[Upstream]:
        """The clients, in the configuration's order."""
        return list(self._upstreams.clients.values())

    async def manifest(self, route: Route, reference: Digest | str) -> Manifest:
        """Return a manifest; raises MANIFEST_UNKNOWN or DENIED."""
        upstream, place = self._find(route)
        return await self._manifests.get(upstream, place, reference)

    async def tags(self, route: Route, last: str | None = None) -> TagList:
        """List all tags; `last`: the client goes on after this one."""
        upstream, place = self._find(route)
        return await self._tags.get(upstream, place, last)

    async def referrers(self, route: Route, digest: Digest) -> Referrers:
        """List what refers to a manifest; raises MANIFEST_UNKNOWN or DENIED."""
        upstream, place = self._find(route)
        return await self._referrers.get(upstream, place, digest)

    async def blob_head(self, route: Route, digest: Digest) -> BlobFile | BlobHead:
        """Tell how large a blob is; raises BLOB_UNKNOWN or DENIED."""
        if (stored := self._blobs.file(digest)) is not None:
            return stored
        upstream, place = self._find(route)
        running = self.downloads.find(upstream, digest)
        if running is not None and running.size is not None:
            return BlobHead(running.size, digest)
        self._refuse_offline(place, digest)
        try:
            size = await upstream.head_blob(place.repository, digest)
        except NixerydError as error:
            log.info("upstream gave no size", blob=str(digest), error=str(error))
            raise _refusal(place, digest, error) from error
        if size is None:
            raise denied(
                f"{place}@{digest}", f"{upstream.name} does not say how large it is"
            )
        return BlobHead(size, digest)

    async def blob(self, route: Route, digest: Digest) -> BlobFile | ArrivingBlob:
        """Return a blob, from the store or while it arrives.

        Raises BLOB_UNKNOWN (404), or DENIED for what cannot be had now.
        """
        if (stored := self._blobs.file(digest)) is not None:
            return stored
        upstream, place = self._find(route)
        self._refuse_offline(place, digest)
        download = self.downloads.start(upstream, place, digest)
        while True:
            try:
                size = await download.wait_until_sized(SMALL)
            except NixerydError as error:
                # Another registry may have brought it meanwhile.
                if (stored := self._blobs.file(digest)) is not None:
                    return stored
                if download.place == place:
                    raise _refusal(place, digest, error) from error
                # Another repository's; this one may have it nevertheless.
                download = self.downloads.start(upstream, place, digest)
            else:
                return ArrivingBlob(download, size)

    def fetch(self, route: Route, digest: Digest) -> Download | None:
        """Start the download of a blob, or join it; None if the blob is here."""
        if self._blobs.file(digest) is not None:
            return None
        upstream, place = self._find(route)
        self._refuse_offline(place, digest)
        return self.downloads.start(upstream, place, digest)

    def _is_offline(self, host: str) -> bool:
        return self.offline.told if host in self._near else self.offline.on

    def _refuse_offline(self, place: UpstreamRepository, digest: Digest) -> None:
        if self._is_offline(place.upstream):
            raise denied(
                f"{place}@{digest}",
                "nixeryd is offline, and this was never pulled before",
            )

    def _find(self, route: Route) -> tuple[Upstream, UpstreamRepository]:
        return (
            self._upstreams.clients[route.host].behind(route.via),
            UpstreamRepository(route.host, route.repository),
        )


def _refusal(
    place: UpstreamRepository, digest: Digest, error: NixerydError
) -> RegistryError:
    return refusal(f"{place}@{digest}", error, ErrorCode.BLOB_UNKNOWN)
