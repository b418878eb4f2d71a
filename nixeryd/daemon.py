"""The composition root: opens everything, owns the nursery, stops in order.

Resources are opened outermost first; the nursery is innermost, so that tasks end
before what they use is closed. On the first SIGTERM or SIGINT nothing more is
accepted and running responses finish (bounded); builds are stopped, and their
clients ask again. A second signal ends at once.
"""

import json
import os
import platform
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import structlog
import trio

from nixeryd import paths
from nixeryd.builder.build import Workshop
from nixeryd.builder.builder import Builder
from nixeryd.config import Settings
from nixeryd.control import Control
from nixeryd.images.errors import NixerydError
from nixeryd.images.names import NamePolicy
from nixeryd.nix.installation import open_nix
from nixeryd.nix.roots import sweep_build_roots
from nixeryd.offline import Offline
from nixeryd.registry import Registry
from nixeryd.sources.opening import open_sources
from nixeryd.sources.source import Configured
from nixeryd.store.blobs import Blobs
from nixeryd.store.datadir import open_data_dir
from nixeryd.store.index import open_index
from nixeryd.web.app import create_app
from nixeryd.web.asgi import App
from nixeryd.web.guard import Policy
from nixeryd.web.listen import open_tcp, open_unix
from nixeryd.web.ports import Door
from nixeryd.web.serve import serve
from nixeryd.web.systemd import adopt_sockets, notify

log = structlog.get_logger()

Listeners: TypeAlias = Mapping[Door, Sequence[trio.SocketListener]]


@dataclass(frozen=True, slots=True)
class Ready:
    """What the daemon serves, once it does: for the banner."""

    source: Configured
    revision: str | None
    listen: tuple[str, ...]
    mirror_listen: tuple[str, ...]
    data_dir: Path
    admin_socket: Path


async def run_daemon(settings: Settings, on_ready: Callable[[Ready], None]) -> None:
    """Serve until a signal says stop; raises `NixerydError` if it cannot start."""
    try:
        await _run(settings, on_ready)
    except* NixerydError as group:
        raise _first(group) from group


def _first(group: BaseExceptionGroup[NixerydError]) -> NixerydError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error  # type: ignore[return-value]  # except* gives a group of these


async def _run(settings: Settings, on_ready: Callable[[Ready], None]) -> None:
    with ExitStack() as stack:
        places = stack.enter_context(open_data_dir(settings.data_path))
        index = stack.enter_context(open_index(places.index))
        admin_socket = paths.runtime_dir(places.root) / "admin.sock"
        listeners = stack.enter_context(_open_listeners(settings, admin_socket))
        sweep_build_roots(places.gcroots)
        offline = Offline(told=settings.offline)
        nix = await open_nix(offline=offline)
        blobs = Blobs(places.blobs, places.staging)
        workshop = Workshop(
            nix,
            blobs,
            index,
            gcroots=places.gcroots,
            compression=settings.cache.compression,
            timeout=settings.nix.timeout,
            popularity=_popularity(settings.nix.popularity),
        )
        addresses = {door: _addresses(opened) for door, opened in listeners.items()}
        async with (
            _stopping() as stop,
            trio.open_nursery() as nursery,
            open_sources(settings, nix, places.root, nursery) as sources,
        ):
            builder = Builder(
                workshop,
                sources,
                NamePolicy(
                    default_system=_system(), shell_packages=settings.shell_packages
                ),
                blobs=blobs,
                index=index,
                logs=places.logs,
                nursery=nursery,
            )
            registry = Registry(
                builder,
                upstreams=frozenset(settings.upstreams),
                own_hosts=_own_hosts(addresses),
                nix_prefixes=settings.nix_prefixes,
            )
            control = Control(
                builder,
                index,
                sources.default,
                listeners={door.value: found for door, found in addresses.items()},
                data_dir=places.root,
                nix=f"{nix.fork} {'.'.join(map(str, nix.version))}",
            )
            policy = Policy(frozenset(settings.hosts), settings.allow_remote)
            async with trio.open_nursery() as servers:
                for door, opened in listeners.items():
                    app = create_app(
                        registry, control, door, policy, hold=settings.hold
                    )
                    servers.start_soon(_serve, app, opened, stop)
                on_ready(
                    Ready(
                        source=sources.default,
                        revision=await sources.default.revision(),
                        listen=addresses[Door.MAIN],
                        mirror_listen=addresses.get(Door.MIRROR, ()),
                        data_dir=places.root,
                        admin_socket=admin_socket,
                    )
                )
                notify("READY=1", f"STATUS=Serving {sources.default.place}")
            nursery.cancel_scope.cancel()


async def _serve(
    app: App, listeners: Sequence[trio.SocketListener], stop: trio.Event
) -> None:
    await serve(app, listeners, stop=stop)


@asynccontextmanager
async def _stopping() -> AsyncIterator[trio.Event]:
    """Give the event that the first signal sets; the second one cancels."""
    stop = trio.Event()

    async def watch(scope: trio.CancelScope) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for number in signals:
                if stop.is_set():
                    scope.cancel()
                    return
                name = signal.Signals(number).name
                log.info("stopping", signal=name)
                notify("STOPPING=1", f"STATUS=Stopping on {name}")
                stop.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, nursery.cancel_scope)
        yield stop
        nursery.cancel_scope.cancel()


@contextmanager
def _open_listeners(settings: Settings, admin_socket: Path) -> Iterator[Listeners]:
    """Open every door: with the socket that systemd hands over, else our own."""
    listeners = adopt_sockets(os.environ, allow_remote=settings.allow_remote)
    with ExitStack() as stack:
        for door, addresses, option in (
            (Door.MAIN, settings.listen, "--listen"),
            (Door.MIRROR, settings.mirror_listen, "--mirror-listen"),
        ):
            if door not in listeners:
                listeners[door] = open_tcp(
                    addresses, allow_remote=settings.allow_remote, option=option
                )
        if Door.ADMIN not in listeners:
            admin_socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            listeners[Door.ADMIN] = [stack.enter_context(open_unix(admin_socket))]
        for opened in listeners.values():
            for listener in opened:
                stack.callback(listener.socket.close)
        yield listeners


def _addresses(listeners: Sequence[trio.SocketListener]) -> tuple[str, ...]:
    """Say where they listen, as a client would write it."""
    names = []
    for listener in listeners:
        name = listener.socket.getsockname()
        if listener.socket.family == socket.AF_UNIX:
            names.append(str(name))
        elif listener.socket.family == socket.AF_INET6:
            names.append(f"[{name[0]}]:{name[1]}")
        else:
            names.append(f"{name[0]}:{name[1]}")
    return tuple(names)


def _popularity(place: str) -> dict[str, int]:
    """Read Nixery's popularity data, a JSON object of names and numbers."""
    if not place:
        return {}
    try:
        found = json.loads(Path(place).expanduser().read_text())
        return {str(name): int(count) for name, count in found.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise NixerydError(
            f"the popularity data {place} is unusable: {error}"
        ) from error


def _system() -> str:
    """Name the platform of images by default: Linux on this machine's processor."""
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(
        platform.machine().lower(), platform.machine()
    )
    return f"{machine}-linux"


def _own_hosts(addresses: Mapping[Door, Sequence[str]]) -> frozenset[str]:
    """Name ourselves as a client may: it says `ns=localhost:5000` for us too."""
    ports = {text.rpartition(":")[2] for found in addresses.values() for text in found}
    hosts = ("localhost", "127.0.0.1", "[::1]")
    return frozenset(f"{host}:{port}" for host in hosts for port in ports)
