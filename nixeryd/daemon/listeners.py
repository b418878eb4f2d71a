"""The daemon's listeners: sockets that systemd hands over, else our own."""

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

import trio

from nixeryd.config.ownership import whose
from nixeryd.config.settings import Settings
from nixeryd.web.listen import ListenError, open_tcp, open_unix
from nixeryd.web.ports import ListenerKind
from nixeryd.web.systemd import adopt_sockets

Listeners: TypeAlias = Mapping[ListenerKind, Sequence[trio.SocketListener]]


@contextmanager
def open_listeners(settings: Settings, admin_socket: Path) -> Iterator[Listeners]:
    """Open every listener until the block ends; raises `ListenError`.

    There is always an admin socket where the command line looks for it, also
    when a socket unit has another place.
    """
    listeners = adopt_sockets(os.environ, allow_remote=settings.allow_remote)
    with ExitStack() as stack:
        for opened in listeners.values():
            for listener in opened:
                stack.callback(listener.socket.close)
        for listener_kind, addresses, option in (
            (ListenerKind.MAIN, settings.listen, "--listen"),
            (ListenerKind.MIRROR, settings.mirror_listen, "--mirror-listen"),
        ):
            if listener_kind not in listeners:
                listeners[listener_kind] = open_tcp(
                    addresses, allow_remote=settings.allow_remote, option=option
                )
                for listener in listeners[listener_kind]:
                    stack.callback(listener.socket.close)
        admin = listeners.setdefault(ListenerKind.ADMIN, [])
        if str(admin_socket) not in name_addresses(admin):
            _make_directory(admin_socket.parent)
            admin.append(stack.enter_context(open_unix(admin_socket)))
        yield listeners


def name_addresses(listeners: Sequence[trio.SocketListener]) -> tuple[str, ...]:
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


def own_address(addresses: Mapping[ListenerKind, Sequence[str]]) -> str:
    """Name ourselves as in the `docker run` lines that we print."""
    return addresses[ListenerKind.MAIN][0].replace("127.0.0.1", "localhost")


def own_hosts(addresses: Mapping[ListenerKind, Sequence[str]]) -> frozenset[str]:
    """Name ourselves as a client may: it says `ns=localhost:5000` for us too."""
    ports = {text.rpartition(":")[2] for found in addresses.values() for text in found}
    hosts = ("localhost", "127.0.0.1", "[::1]")
    return frozenset(f"{host}:{port}" for host in hosts for port in ports)


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ListenError(
            f"cannot make {path} for the admin socket: {error.strerror}; name another"
            " directory with XDG_RUNTIME_DIR"
        ) from error
    if (strange := whose(path)) is not None:
        raise ListenError(
            f"{path} {strange}: the admin socket would not be safe there; name another"
            " directory with XDG_RUNTIME_DIR"
        )
