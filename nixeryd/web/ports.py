"""What the web layer needs of the rest, by capability.

Implemented by builder and mirror and put together in the daemon; the tests
implement them in memory. Errors are `RegistryError` for the client to see,
any other `NixerydError` for a person to act on.
"""

from collections.abc import AsyncIterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Protocol

import trio

from nixeryd.api.builds import Build, Failure, Fetch, LogPart
from nixeryd.api.contents import Inside, Why
from nixeryd.api.images import Checked, Checking, Evicted, ImageDetails, ImageList
from nixeryd.images.digests import Digest
from nixeryd.images.referrers import Referrers
from nixeryd.images.routes import BlobRoute, ManifestRoute, ReferrersRoute, TagsRoute
from nixeryd.images.served_manifests import (
    BlobFile,
    BlobHead,
    Manifest,
    Origin,
    Patience,
    TagList,
)
from nixeryd.runtime.changes import Changes


class ListenerKind(StrEnum):
    """Which listener a connection came in by. Rights come from it alone."""

    MAIN = "main"
    MIRROR = "mirror"
    ADMIN = "admin"


class BlobStream(Protocol):
    """An open part of a blob whose bytes come in a file, or as they are.

    The file is `fd` until the next bytes are asked for.
    """

    @property
    def fd(self) -> int: ...

    async def arrive(self) -> range | bytes:
        """Wait for the next bytes and give their place in the file, or themselves.

        Empty at the end. Raises if the blob breaks off.
        """
        ...


class LiveBlob(Protocol):
    """A blob that is no file: its bytes are served as they arrive, or are made."""

    @property
    def size(self) -> int: ...

    @property
    def digest(self) -> Digest: ...

    @property
    def made_from(self) -> str:
        """Where its bytes come from, for metrics: `upstream` or `store`."""
        ...

    def open(self, part: range) -> AbstractAsyncContextManager[BlobStream]:
        """Open the bytes of `part`, which lies within the size; step 1."""
        ...


class Registry(Protocol):
    """Answers the questions of the distribution spec's read side."""

    def stands_in(self, repository: tuple[str, ...], origin: Origin) -> bool:
        """Return whether an image of another registry was meant, and is built here."""
        ...

    async def manifest(
        self, request: ManifestRoute, origin: Origin, patience: Patience
    ) -> Manifest:
        """Return a manifest; raises StillBuilding when `patience` is at its end."""
        ...

    async def blob(self, request: BlobRoute, origin: Origin) -> BlobFile | LiveBlob: ...

    async def blob_head(
        self, request: BlobRoute, origin: Origin
    ) -> BlobFile | BlobHead:
        """Say how large a blob is, without fetching it."""
        ...

    async def tags(self, request: TagsRoute, origin: Origin) -> TagList:
        """List all tags of the repository, in any order."""
        ...

    async def referrers(self, request: ReferrersRoute, origin: Origin) -> Referrers:
        """List all that refers to a manifest, of any type."""
        ...


class Watch(Protocol):
    """One build, watched. `changes` tells of its log too, and is closed at its end."""

    @property
    def changes(self) -> Changes: ...

    def snapshot(self) -> Build:
        """Say how far it is."""
        ...

    def log(self, start: int) -> LogPart:
        """Return its log from line `start` on; the last lines if it is much."""
        ...


class Live(Protocol):
    """What goes on now. `changes` tells of all but logs, and is closed at the end."""

    @property
    def changes(self) -> Changes: ...

    def builds(self) -> list[Build]:
        """List the builds that run, then those that ended lately."""
        ...

    def queued(self) -> tuple[str, ...]:
        """Name the images whose builds wait for their turn."""
        ...

    def fetches(self) -> list[Fetch]:
        """List the blobs that are being mirrored, the oldest first."""
        ...

    def build(self, build: str) -> Watch | None:
        """Find a build by its id, while it is known."""
        ...

    def failures(self) -> list[Failure]:
        """List the last builds that failed, the last one first."""
        ...

    def failure(self, build: str) -> Failure | None: ...

    def failure_log(self, build: str) -> list[str]: ...


class Archive(Protocol):
    """An image as one file, read while it is made. `size` in bytes."""

    @property
    def size(self) -> int: ...

    def read(self) -> AbstractAsyncContextManager[trio.abc.ReceiveChannel[bytes]]:
        """Return the archive in chunks; raises if a blob of it is not whole."""
        ...


class Cache(Protocol):
    """What is in the cache, and what may be done to it.

    A name is NAME or NAME:TAG. What is not in the cache is MANIFEST_UNKNOWN; of
    several names, all are taken or none.
    """

    async def images(self) -> ImageList:
        """List all, last used first."""
        ...

    async def show(self, name: str) -> ImageDetails: ...

    async def inside(self, name: str) -> Inside: ...

    async def why(self, name: str, path: str) -> Why:
        """Tell why a store path is in an image."""
        ...

    async def remove(self, names: Sequence[str]) -> Evicted: ...

    async def collect(self, max_size: int | None, *, dry_run: bool) -> Evicted:
        """Make room: down to `max_size` bytes, or what is configured."""
        ...

    async def pin(self, names: Sequence[str], *, pinned: bool) -> Sequence[str]:
        """Pin or unpin; gives the whole names."""
        ...

    def verify(
        self, *, repair: bool
    ) -> AbstractAsyncContextManager[trio.abc.ReceiveChannel[Checking | Checked]]:
        """Read all blobs and tell how it goes."""
        ...

    async def export(self, name: str) -> Archive: ...


class AdminService(Protocol):
    """What the command line and the page ask the daemon."""

    @property
    def live(self) -> Live: ...

    @property
    def cache(self) -> Cache: ...

    async def status(self) -> Mapping[str, object]:
        """Return the daemon's state as JSON values."""
        ...

    def settings(self) -> Mapping[str, object]:
        """Return the settings in force by their names, as JSON values."""
        ...

    async def reload(self) -> Mapping[str, object]:
        """Read the configuration again; raises and changes nothing if it is wrong."""
        ...

    def metrics(self) -> str:
        """Return the daemon's state in Prometheus' text format."""
        ...

    def pull(
        self,
        name: str,
        *,
        all_platforms: bool = False,
        fresh: bool = False,
        asker: str = "",
    ) -> AbstractAsyncContextManager[AsyncIterable[Mapping[str, object]]]:
        """Make or fetch an image (`name` or `name:tag`) and tell how it goes.

        The events are JSON values. A failure is raised, not told. `all_platforms`:
        of a mirrored image, not only what this machine runs. `fresh`: evaluate a
        built one now, whatever is remembered. `asker` is who waits for it, for people
        who watch.
        """
        ...

    async def search(
        self, query: str, limit: int, *, describe: bool
    ) -> Mapping[str, object]:
        """Find packages of the default source; `packages` are JSON values."""
        ...

    async def renew_popularity(self) -> Mapping[str, object]:
        """Count or fetch anew by what layers are cut; JSON values tell the rest."""
        ...

    async def set_offline(self, *, offline: bool) -> None:
        """Never touch the network from now on, or do again."""
        ...
