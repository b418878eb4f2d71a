"""Who takes the new value of which setting while the daemon runs.

What is not here needs a restart (`reload`); to take a value may not fail.
"""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace

from nixeryd.builder.build import ImageBuilder
from nixeryd.builder.builder import Builder
from nixeryd.cache.eviction import Evictor
from nixeryd.config.settings import Settings
from nixeryd.daemon.registry import Registry
from nixeryd.daemon.reload import Reloading
from nixeryd.git.storage import Storage
from nixeryd.mirror.mirror import Mirror
from nixeryd.mirror.sources import OpenUpstreams
from nixeryd.nix.limits import Limits
from nixeryd.sources.opening import OpenSources
from nixeryd.sources.search import Search
from nixeryd.web.guard import Guard
from nixeryd.web.peers import Peers


def adopt_changes(  # noqa: PLR0913, PLR0917  the composition root wires it once
    reloading: Reloading,
    image_builder: ImageBuilder,
    builder: Builder,
    registry: Registry,
    apps: Collection[Guard],
    limits: Limits,
    clients: Peers,
) -> None:
    """Register who takes how requests are answered and images are built."""

    def take_hosts(settings: Settings) -> None:
        for app in apps:
            app.policy = replace(app.policy, hosts=frozenset(settings.hosts))

    def take_users(settings: Settings) -> None:
        with suppress(LookupError):  # they were all known a moment ago
            clients.users = settings.user_ids

    def take_shell(settings: Settings) -> None:
        builder.policy = replace(builder.policy, shell_packages=settings.shell_packages)

    def take_prefixes(settings: Settings) -> None:
        registry.nix_prefixes = settings.nix_prefixes

    def take_timeout(settings: Settings) -> None:
        image_builder.timeout = settings.nix.timeout

    def take_limits(settings: Settings) -> None:
        new = Limits(*settings.nix.limits)
        limits.seconds, limits.memory = new.seconds, new.memory
        limits.cache_seconds, limits.builds = new.cache_seconds, new.builds
        limits.fetching = new.fetching

    reloading.on("hosts", take=take_hosts)
    reloading.on("users", take=take_users)
    reloading.on("shell_packages", take=take_shell)
    reloading.on("nix_prefixes", take=take_prefixes)
    reloading.on("nix.timeout", take=take_timeout)
    for name in ("evaluation_timeout", "evaluation_memory", "cache_timeout"):
        reloading.on(f"nix.{name}", take=take_limits)
    reloading.on("nix.build_limit", "nix.fetch_timeout", take=take_limits)
    reloading.on(
        "nix.max_builds", take=lambda new: builder.turns.set(new.nix.max_builds)
    )
    # These are looked up when they are needed.
    reloading.on("engine", "finish_builds", "idle_exit", take=lambda _: None)


def _share_cap(reloading: Reloading, evictor: Evictor, storage: Storage) -> None:
    """Let the blobs and what git keeps be under one cap, now and when it changes."""

    def take(settings: Settings) -> None:
        evictor.set_cap(settings.cache.cap)
        storage.set_cap(settings.cache.cap)

    storage.on_size = evictor.set_beside
    take(reloading.settings)
    reloading.on("cache.max_size", take=take)


def adopt_places(  # noqa: PLR0913, PLR0917  the composition root wires it once
    reloading: Reloading,
    image_builder: ImageBuilder,
    evictor: Evictor,
    mirror: Mirror,
    upstreams: OpenUpstreams,
    opened: OpenSources,
    search: Search,
) -> None:
    """Register who takes where images come from and how they are kept."""

    async def prepare_sources(settings: Settings) -> Callable[[], None]:
        """Open other registries and package sets: the only ones that may fail.

        Both in one, upstreams first: what they opened need not be closed.
        """
        others = await upstreams.open(settings)
        change = await opened.prepare(settings)

        def take() -> None:
            mirror.use(others)
            change()
            search.use(opened.sources.default)
            image_builder.use_watched(
                {name: one.watched for name, one in settings.sources.items()}
            )

        return take

    def take_layers(settings: Settings) -> None:
        cache = settings.cache
        image_builder.use_layers(cache.compression, stream=cache.layers == "stream")

    _share_cap(reloading, evictor, opened.sources.storage)
    reloading.prepare("source", "sources", "upstreams", prepare=prepare_sources)
    reloading.on("cache.compression", "cache.layers", take=take_layers)
    reloading.on("cache.ttl", take=lambda new: mirror.set_ttl(new.cache.ttl))
    reloading.on("offline", take=lambda new: mirror.set_offline(offline=new.offline))
