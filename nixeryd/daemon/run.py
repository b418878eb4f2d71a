"""The composition root: opens everything, owns the nursery, stops in order.

Resources are opened outermost first; the nursery is innermost, so that tasks end
before what they use is closed. On the first SIGTERM or SIGINT nothing more is
accepted and running responses finish (bounded); who waits for a build is sent
away to ask again, and builds are stopped, or finished if that is configured. A
second signal ends at once.
"""

import platform
from collections.abc import (
    AsyncIterator,
    Callable,
)
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from nixeryd.builder.build import ImageBuilder
from nixeryd.builder.build_monitor import BuildMonitor
from nixeryd.builder.builder import Builder
from nixeryd.builder.history import History
from nixeryd.cache.catalogue import Catalogue
from nixeryd.cache.eviction import Evictor
from nixeryd.cache.scrubbing import Scrubber
from nixeryd.config import paths
from nixeryd.daemon.activity import Live
from nixeryd.daemon.admin import AdminService
from nixeryd.daemon.adopting import adopt_changes, adopt_places
from nixeryd.daemon.cache_admin import CacheAdmin
from nixeryd.daemon.lifecycle import ask_for_time, end_when_idle, open_ending
from nixeryd.daemon.listeners import (
    name_addresses,
    open_listeners,
    own_address,
    own_hosts,
)
from nixeryd.daemon.registry import Registry
from nixeryd.daemon.reload import Reloading
from nixeryd.images.descriptors import Platform
from nixeryd.images.errors import NixerydError
from nixeryd.images.logins import mask
from nixeryd.images.names import NamePolicy
from nixeryd.mirror.mirror import Mirror
from nixeryd.mirror.prefetch import Prefetch
from nixeryd.mirror.sources import OpenUpstreams, read_network
from nixeryd.nix.installation import open_nix
from nixeryd.nix.limits import Limits
from nixeryd.nix.roots import Roots, of_manifest
from nixeryd.runtime.changes import Changes
from nixeryd.runtime.offline import Offline
from nixeryd.runtime.orphans import end_orphans
from nixeryd.sources.opening import DEMO, open_changing_sources
from nixeryd.sources.popularity import Popularity
from nixeryd.sources.search import Search
from nixeryd.sources.source import Configured
from nixeryd.store.blobs import Blobs
from nixeryd.store.datadir import open_data_dir
from nixeryd.store.index import open_index
from nixeryd.store.recovery import recover
from nixeryd.store.uses import Uses
from nixeryd.web.app import create_app
from nixeryd.web.connection_limit import open_connection_limits, raise_file_limit
from nixeryd.web.hosts import Policy
from nixeryd.web.peers import open_peers
from nixeryd.web.ports import ListenerKind
from nixeryd.web.serve import serve
from nixeryd.web.systemd import notify
from nixeryd.web.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Ready:
    """What the daemon serves, once it does: for the banner."""

    source: Configured
    revision: str | None
    listen: tuple[str, ...]
    mirror_listen: tuple[str, ...]
    data_dir: Path
    admin_socket: Path

    @property
    def is_demo(self) -> bool:
        """Whether it serves the embedded demo set, as no package set was found."""
        return self.source.place == str(self.data_dir / DEMO)


async def run_daemon(reloading: Reloading, on_ready: Callable[[Ready], None]) -> None:
    """Serve until a signal says stop; raises `NixerydError` if it cannot start."""
    try:
        await _run(reloading, on_ready)
    except BaseExceptionGroup as group:
        # What a person can act on comes alone, whatever nurseries it crossed.
        found, rest = group.split(NixerydError)
        if found is None or rest is not None:
            raise
        raise _first(found) from group


def _first(group: BaseExceptionGroup[NixerydError]) -> NixerydError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, NixerydError)  # noqa: S101  for mypy: split did it
    return error


async def _run(reloading: Reloading, on_ready: Callable[[Ready], None]) -> None:
    settings = reloading.settings
    with ExitStack() as stack:
        places = stack.enter_context(open_data_dir(settings.data_path))
        await trio.to_thread.run_sync(end_orphans, places.root)
        index = stack.enter_context(open_index(places.index))
        blobs = Blobs(places.blobs, places.staging, index.blob_size)
        if index.is_new:
            recover(blobs, index)
        admin_socket = paths.runtime_dir(places.root) / "admin.sock"
        listeners = stack.enter_context(open_listeners(settings, admin_socket))
        roots = Roots(
            places.gcroots,
            {(name.image, name.tag) for name in index.names.all()}
            | set(map(of_manifest, index.manifests())),
            keep=settings.nix.keep_roots,
        )
        offline = Offline(told=settings.offline)
        limits = Limits(*settings.nix.limits)
        nix = await open_nix(offline=offline, limits=limits)
        image_builder = ImageBuilder(
            nix,
            blobs,
            index,
            roots,
            compression=settings.cache.compression,
            stream=settings.cache.layers == "stream",
            timeout=settings.nix.timeout,
            popularity={},
            watched={name: one.watched for name, one in settings.sources.items()},
        )
        popularity = Popularity(
            settings.nix.popularity,
            places.root / "popularity.json",
            nix,
            image_builder.use_popularity,
            read_network(settings),
        )
        popularity.load()
        uses = Uses(index, blobs.leases)
        evictor = Evictor(
            blobs,
            index,
            places.index,
            uses,
            cap=settings.cache.cap,
            on_forgotten=lambda name: roots.release((name.image, name.tag)),
            on_gone=lambda digest: roots.release(of_manifest(digest)),
        )
        peers = stack.enter_context(open_peers(settings.user_ids))
        addresses = {
            listener_kind: name_addresses(found)
            for listener_kind, found in listeners.items()
        }
        async with (
            OpenUpstreams() as upstreams,
            open_ending(reloading.on_signal) as ending,
            trio.open_nursery() as nursery,
            open_changing_sources(settings, nix, places.root, nursery) as package_sets,
            _builds_end_first(nursery) as builds,
        ):
            sources = package_sets.sources
            changes = Changes()
            board, history = BuildMonitor(changes), History(places.failures)
            builder = Builder(
                image_builder,
                sources,
                NamePolicy(
                    default_system=_system(), shell_packages=settings.shell_packages
                ),
                blobs=blobs,
                index=index,
                logs=places.logs,
                roots=roots,
                nursery=builds,
                board=board,
                history=history,
                at_once=settings.nix.max_builds,
            )
            nursery.start_soon(popularity.fetch_if_missing)
            nursery.start_soon(uses.run)
            nursery.start_soon(evictor.run)
            mirror = Mirror(
                await upstreams.open(settings),
                blobs,
                index,
                nursery,
                ttl=settings.cache.ttl,
                offline=offline,
            )
            registry = Registry(
                builder,
                mirror,
                uses,
                own_hosts=own_hosts(addresses),
                nix_prefixes=settings.nix_prefixes,
            )
            cache_admin = CacheAdmin(
                blobs,
                index,
                evictor,
                Catalogue(blobs, index, places.index, uses, _platform()),
                index_path=places.index,
                understand=registry.understand,
                policy=lambda: builder.policy,
                address=own_address(addresses),
            )

            def is_busy() -> bool:
                return bool(builder.runs() or mirror.downloads.running())

            scrubber = Scrubber(
                blobs, places.index, places.checked, evictor.discard, is_busy=is_busy
            )
            nursery.start_soon(scrubber.run)
            search = Search(sources.default, nix, _system(), places.root / "search")
            control = AdminService(
                Live(
                    changes,
                    board,
                    history,
                    mirror.downloads,
                    lambda: [
                        run.image.repository for run in builder.runs() if run.is_queued
                    ],
                ),
                cache_admin,
                builder,
                mirror,
                index,
                evictor,
                scrubber,
                reloading,
                understand=registry.understand,
                prefetch=Prefetch(mirror, nursery),
                source=lambda: sources.default,
                search=search,
                popularity=popularity,
                platform=_platform(),
                listeners={
                    listener_kind.value: found
                    for listener_kind, found in addresses.items()
                },
                tells_users=lambda: peers[ListenerKind.MAIN].tells,
                data_dir=places.root,
                nix=f"{nix.fork} {'.'.join(map(str, nix.version))}",
            )
            apps = {
                listener_kind: create_app(
                    registry,
                    control,
                    listener_kind,
                    Policy(frozenset(settings.hosts), settings.allow_remote),
                    hold=settings.hold,
                )
                for listener_kind in listeners
            }
            adopt_changes(
                reloading,
                image_builder,
                builder,
                registry,
                apps.values(),
                limits,
                peers[ListenerKind.MAIN],
            )
            adopt_places(
                reloading,
                image_builder,
                evictor,
                mirror,
                upstreams,
                package_sets,
                search,
            )
            traffic = Traffic()
            rooms = open_connection_limits(raise_file_limit())
            nursery.start_soon(
                end_when_idle,
                ending,
                traffic,
                lambda: reloading.settings.idle_exit,
                is_busy,
            )
            async with trio.open_nursery() as servers:
                for listener_kind, opened in listeners.items():
                    servers.start_soon(
                        partial(
                            serve,
                            traffic.count(apps[listener_kind]),
                            opened,
                            stop=ending.stop,
                            room=rooms[listener_kind],
                            peers=peers[listener_kind],
                        )
                    )
                notify("READY=1", f"STATUS=Serving {mask(sources.default.place)}")
                on_ready(
                    Ready(
                        source=sources.default,
                        revision=await sources.default.revision(),
                        listen=addresses[ListenerKind.MAIN],
                        mirror_listen=addresses.get(ListenerKind.MIRROR, ()),
                        data_dir=places.root,
                        admin_socket=admin_socket,
                    )
                )
                await ending.stop.wait()
                builder.stop(finish=reloading.settings.finish_builds)
                # Who watches is told to come back, or would hold up the end.
                board.close()


@asynccontextmanager
async def _builds_end_first(nursery: trio.Nursery) -> AsyncIterator[trio.Nursery]:
    """Return a nursery for builds; when they have ended, so does the rest."""
    async with trio.open_nursery() as builds:
        yield builds
        nursery.start_soon(ask_for_time)
    nursery.cancel_scope.cancel()


def _system() -> str:
    """Name the platform of images by default: Linux on this machine's processor."""
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(
        platform.machine().lower(), platform.machine()
    )
    return f"{machine}-linux"


def _platform() -> Platform:
    """Name what this machine's containers run, in the words of the registries."""
    processor = {"aarch64": "arm64", "x86_64": "amd64"}
    machine = _system().removesuffix("-linux")
    return Platform("linux", processor.get(machine, machine))
