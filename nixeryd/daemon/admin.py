"""What the command line and the page ask of the daemon: its state, and pulls."""

import os
import platform
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias, assert_never

import msgspec
import structlog
import trio

from nixeryd import __version__
from nixeryd.api.builds import Count, Transfer
from nixeryd.builder import progress as builds
from nixeryd.builder.builder import Builder
from nixeryd.builder.run import Run
from nixeryd.cache.eviction import Evictor
from nixeryd.cache.scrubbing import Scrubber
from nixeryd.config.origins import flatten
from nixeryd.daemon.activity import Live
from nixeryd.daemon.cache_admin import CacheAdmin
from nixeryd.daemon.reload import Reloading
from nixeryd.images.descriptors import Platform
from nixeryd.images.digests import Digest
from nixeryd.images.errors import NixerydError
from nixeryd.images.logins import mask, mask_all
from nixeryd.images.routes import Nix, Upstream
from nixeryd.mirror import progress as pulls
from nixeryd.mirror.mirror import Mirror
from nixeryd.mirror.prefetch import Prefetch, Wanted
from nixeryd.runtime.metrics import COUNTERS, Gauge, gauge, render_metrics
from nixeryd.sources.popularity import Popularity, most_popular
from nixeryd.sources.search import Search
from nixeryd.sources.source import Configured
from nixeryd.store.index import Index

_Events: TypeAlias = (
    trio.MemoryReceiveChannel[builds.Event] | trio.MemoryReceiveChannel[pulls.Event]
)

log = structlog.get_logger()


class AdminService:
    """Answers the JSON API."""

    def __init__(  # noqa: PLR0913, PLR0917  the composition root wires it once
        self,
        live: Live,
        cache: CacheAdmin,
        builder: Builder,
        mirror: Mirror,
        index: Index,
        evictor: Evictor,
        scrubber: Scrubber,
        reloading: Reloading,
        *,
        understand: Callable[[str], tuple[Nix | Upstream, Digest | str]],
        prefetch: Prefetch,
        source: Callable[[], Configured],
        search: Search,
        popularity: Popularity,
        platform: Platform,
        listeners: Mapping[str, Sequence[str]],
        tells_users: Callable[[], bool],
        data_dir: Path,
        nix: str,
    ) -> None:
        self.live = live
        self.cache = cache
        self._understand = understand
        self._builder = builder
        self._mirror = mirror
        self._prefetch = prefetch
        self._platform = platform
        self._index = index
        self._evictor = evictor
        self._scrubber = scrubber
        self._default = source
        self._search = search
        self._popularity = popularity
        self._reloading = reloading
        self._listeners = listeners
        self._tells_users = tells_users
        self._data_dir = data_dir
        self._nix = nix

    async def status(self) -> Mapping[str, object]:
        """Return the daemon's state as JSON values."""
        return {
            "version": __version__,
            "pid": os.getpid(),
            "listeners": self._listeners,
            "tells_users": self._tells_users(),
            "source": {
                "name": self._default().name,
                "path": mask(self._default().place),
                "revision": await self._default().revision(),
                "state": self._default().watch,
            },
            "nix": self._nix,
            "data_dir": str(self._data_dir),
            "images": self._index.names.count_built(),
            "cache": {
                "size": self._evictor.total,
                "cap": self._evictor.cap,
                "checked": self._scrubber.checked,
            },
            "builds": [
                {
                    "repository": run.image.repository,
                    "tag": run.tag,
                    "source": run.source.name,
                    "seconds": round(trio.current_time() - run.since, 1),
                    "queued": run.is_queued,
                    **_doing(run),
                }
                for run in self._builder.runs()
            ],
            "offline": self._mirror.offline.why,
            "mirrored": self._index.mirrored.count_tags(),
            "upstreams": [
                {
                    "name": upstream.name,
                    "url": mask(upstream.url),
                    "rate_limit": upstream.rate_limit and asdict(upstream.rate_limit),
                }
                for upstream in self._mirror.upstreams
            ],
            "downloads": [
                {
                    "blob": str(download.digest),
                    "source": str(download.place),
                    "arrived": download.arrived,
                    "size": download.size,
                }
                for download in self._mirror.downloads.running()
            ],
        }

    def settings(self) -> Mapping[str, object]:
        """Return the settings in force by their names, without secrets."""
        shown: dict[str, object] = mask_all(flatten(self._reloading.settings))
        return shown

    async def reload(self) -> Mapping[str, object]:
        """Read the configuration again; raises `ConfigError` and changes nothing."""
        outcome = await self._reloading.reload()
        return {"changed": outcome.changed, "needs_restart": outcome.needs_restart}

    def metrics(self) -> str:
        """Return the metrics in Prometheus' text format."""
        limits = [
            ({"upstream": upstream.name}, upstream.rate_limit)
            for upstream in self._mirror.upstreams
            if upstream.rate_limit is not None
        ]
        runs = self._builder.runs()
        queued = sum(run.is_queued for run in runs)
        cap = self._evictor.cap
        return render_metrics(
            [
                Gauge(
                    "nixeryd_build_info",
                    "1; the labels tell what runs.",
                    [
                        (
                            {
                                "version": __version__,
                                "python": platform.python_version(),
                                "nix": self._nix,
                            },
                            1,
                        )
                    ],
                ),
                Gauge(
                    "nixeryd_cache_bytes",
                    "Size of all blobs in the cache.",
                    [({}, self._evictor.total)],
                ),
                Gauge(
                    "nixeryd_cache_cap_bytes",
                    "Size at which eviction begins (cache.max_size).",
                    [({}, cap)],
                ),
                gauge("nixeryd_lists_bytes", "Lists kept.", self._index.lists.size()),
                gauge("nixeryd_offline", "1 if it is.", self._mirror.offline.on),
                gauge(
                    "nixeryd_tasks",
                    "What goes on at once; if it only ever rises, something leaks.",
                    trio.lowlevel.current_statistics().tasks_living,
                ),
                gauge("nixeryd_builds", "Builds that run.", len(runs) - queued),
                gauge("nixeryd_builds_queued", "Builds that wait.", queued),
                gauge(
                    "nixeryd_downloads",
                    "Blobs that are on their way.",
                    len(self._mirror.downloads.running()),
                ),
                Gauge(
                    "nixeryd_upstream_ratelimit_limit",
                    "Pulls that an upstream grants per window, as it last said.",
                    [(on, quota.limit) for on, quota in limits],
                ),
                Gauge(
                    "nixeryd_upstream_ratelimit_remaining",
                    "Pulls that are left of them.",
                    [(on, quota.remaining) for on, quota in limits],
                ),
                Gauge(
                    "nixeryd_upstream_ratelimit_seen_seconds",
                    "When it said so, since the epoch.",
                    [(on, quota.seen) for on, quota in limits],
                ),
                *COUNTERS,
            ]
        )

    async def search(
        self, query: str, limit: int, *, describe: bool
    ) -> Mapping[str, object]:
        """Find packages of the default source by their names."""
        found = await self._search.find(query, limit, describe=describe)
        return {
            "source": self._default().name,
            "packages": [asdict(package) for package in found],
        }

    async def renew_popularity(self) -> Mapping[str, object]:
        """Count or fetch anew by what layers are cut; tells what came of it."""
        frozen = await self._popularity.renew()
        log.info("renewed the popularity", origin=frozen.origin)
        top = most_popular(frozen.counts, 10)
        return {"origin": mask(frozen.origin), "names": len(frozen.counts), "top": top}

    async def set_offline(self, *, offline: bool) -> None:
        """Never touch the network from now on, or do again."""
        await trio.lowlevel.checkpoint()
        self._mirror.set_offline(offline=offline)
        log.info("switched the network", offline=offline)

    @asynccontextmanager
    async def pull(
        self,
        name: str,
        *,
        all_platforms: bool = False,
        fresh: bool = False,
        asker: str = "",
    ) -> AsyncIterator[AsyncGenerator[Mapping[str, object], None]]:
        """Make or fetch an image and tell how it goes; a failure is raised."""
        route, reference = self._understand(name)
        async with AsyncExitStack() as stack:
            channel: _Events
            match route:
                case Nix() if isinstance(reference, Digest):
                    raise NixerydError(f"{name}: a build has a tag, not a digest")
                case Nix(components):
                    channel = await stack.enter_async_context(
                        self._builder.pull(
                            components, str(reference), asker, is_fresh=fresh
                        )
                    )
                case Upstream() as route:
                    platform = None if all_platforms else self._platform
                    wanted = Wanted(route, reference, platform)
                    channel = stack.enter_context(self._prefetch.pull(wanted))
                case other:
                    assert_never(other)
            events = _as_json(channel)
            stack.push_async_callback(events.aclose)
            yield events


async def _as_json(channel: _Events) -> AsyncGenerator[Mapping[str, object], None]:
    async for event in channel:
        if isinstance(event, builds.Failed | pulls.Failed):
            raise NixerydError(event.message)
        yield msgspec.to_builtins(event)


def _doing(run: Run) -> dict[str, object]:
    told = run.watched.snapshot() if run.watched else None
    return {
        "phase": told.phase if told else "",
        "builds": msgspec.to_builtins(told.builds if told else Count()),
        "fetches": msgspec.to_builtins(told.fetches if told else Count()),
        "transfer": msgspec.to_builtins(told.transfer if told else Transfer()),
    }
