"""What systemd hands over, and what it wants to hear.

The law: LISTEN_* is taken out of the environment whether it is for us or not,
so that no child process can take it for its own.

https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

import ipaddress
import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress

import trio

from nixeryd.web.listen import ListenError, as_listener
from nixeryd.web.ports import ListenerKind

_FIRST_FD = 3


def adopt_sockets(
    environ: MutableMapping[str, str], *, allow_remote: bool = False
) -> dict[ListenerKind, list[trio.SocketListener]]:
    """Take over the sockets of a socket unit; empty if there are none for us.

    A Unix socket is for admin; a TCP socket is the mirror's if it is named so
    (FileDescriptorName=mirror), else the registry's. Raises ListenError for what
    is no listening stream socket, or is open to others.
    """
    pid = environ.pop("LISTEN_PID", "")
    count = environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    environ.pop("LISTEN_PIDFDID", None)
    adopted: dict[ListenerKind, list[trio.SocketListener]] = {}
    if pid != str(os.getpid()) or not count.isascii() or not count.isdigit():
        return adopted
    for index in range(int(count)):
        sock = _take(_FIRST_FD + index)
        listener_kind = _kind_of(names[index] if index < len(names) else "", sock)
        _refuse_strangers(sock, allow_remote=allow_remote)
        adopted.setdefault(listener_kind, []).append(as_listener(sock))
    return adopted


def _take(fd: int) -> socket.socket:
    try:
        os.set_inheritable(fd, False)  # noqa: FBT003  the stdlib's signature
        sock = socket.socket(fileno=fd)
        if sock.type == socket.SOCK_STREAM and sock.getsockopt(
            socket.SOL_SOCKET, socket.SO_ACCEPTCONN
        ):
            return sock
        sock.detach()
    except OSError as error:
        raise ListenError(f"systemd's file {fd} is no socket: {error}") from error
    raise ListenError(f"systemd's socket {fd} is no listening stream socket")


def _kind_of(name: str, sock: socket.socket) -> ListenerKind:
    if sock.family == socket.AF_UNIX:
        return ListenerKind.ADMIN
    # A TCP socket is never given the rights of the admin socket.
    return ListenerKind.MIRROR if name == ListenerKind.MIRROR else ListenerKind.MAIN


def _refuse_strangers(sock: socket.socket, *, allow_remote: bool) -> None:
    if sock.family == socket.AF_UNIX:
        path = sock.getsockname()
        if not path or path[:1] in ("\0", b"\0"):
            raise ListenError("systemd's Unix socket has no path: anyone may connect")
        if os.stat(path).st_mode & 0o077:  # noqa: PTH116  may be bytes
            raise ListenError(f"{path} is open to others: set SocketMode=0600")
    elif not allow_remote:
        host = sock.getsockname()[0]
        if not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
            raise ListenError(
                f"systemd's socket listens on {host}, which others can reach:"
                " refused unless --allow-remote is given"
            )


def notify(*states: str) -> None:
    """Tell systemd, if it asked: `READY=1`, `STATUS=…`, `STOPPING=1`.

    Never fails: a daemon works the same without anybody listening.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # Linux's abstract namespace
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto("\n".join(states).encode(), address)
