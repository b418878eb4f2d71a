"""The daemon itself: its state, its settings, the packages it knows."""

from collections.abc import Mapping
from typing import Any

import msgspec

from nixeryd.api.builds import Count, Transfer


class SourceState(msgspec.Struct, frozen=True):
    """The default source; `state` says how its changes are noticed."""

    name: str
    path: str
    revision: str | None
    state: str


class CacheState(msgspec.Struct, frozen=True):
    """Bytes of all blobs, null until they are counted, and how many there may be.

    `checked` is when all had last been read and compared with their digests, in seconds
    since the epoch; null before the first time.
    """

    size: int | None
    cap: int | None
    checked: float | None


class RunningBuild(msgspec.Struct, frozen=True):
    """A build that runs, or waits for its turn; see `Build` for what it does."""

    repository: str
    tag: str
    source: str
    seconds: float
    queued: bool
    phase: str
    builds: Count
    fetches: Count
    transfer: Transfer


class RateLimit(msgspec.Struct, frozen=True):
    """Pulls that an upstream grants per window in seconds, as it last said."""

    limit: int | None
    remaining: int | None
    window: int | None
    source: str | None
    seen: float


class UpstreamState(msgspec.Struct, frozen=True):
    """A registry that is mirrored."""

    name: str
    url: str
    rate_limit: RateLimit | None


class RunningDownload(msgspec.Struct, frozen=True):
    """A blob on its way, in bytes; `size` is null until it is known."""

    blob: str
    source: str
    arrived: int
    size: int | None


class Status(msgspec.Struct, frozen=True):
    """The daemon at a glance. `offline` says why it is, "" if it is not.

    `tells_users`: whether it knows which user of this machine asks.
    """

    version: str
    pid: int
    listeners: Mapping[str, tuple[str, ...]]
    tells_users: bool
    source: SourceState
    nix: str
    data_dir: str
    images: int
    cache: CacheState
    builds: tuple[RunningBuild, ...]
    offline: str
    mirrored: int
    upstreams: tuple[UpstreamState, ...]
    downloads: tuple[RunningDownload, ...]


class Package(msgspec.Struct, frozen=True):
    """A package, by its name in an image name; texts are "" where not known."""

    name: str
    attribute: str
    version: str
    description: str


class Found(msgspec.Struct, frozen=True):
    """What a search of the default source found, best first."""

    source: str
    packages: tuple[Package, ...]


class Reloaded(msgspec.Struct, frozen=True):
    """The settings that have changed, and those that only a restart changes."""

    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]


class Popularity(msgspec.Struct, frozen=True):
    """By what layers are cut: how many names, from where, the most popular ones."""

    origin: str
    names: int
    top: Any


class Health(msgspec.Struct, frozen=True):
    """The daemon answers."""

    status: str


class ErrorEntry(msgspec.Struct, frozen=True):
    """What went wrong; `message` is for people."""

    code: str
    message: str
    detail: Any = None


class Errors(msgspec.Struct, frozen=True):
    """How every failure is told: the distribution spec's shape."""

    errors: tuple[ErrorEntry, ...]


Settings = dict[str, Any]
