"""Make the listening sockets: TCP on loopback, and the admin socket.

The law: nothing listens beyond this machine unless that was asked for by name
(`--allow-remote`), and the admin socket is never reachable by anyone but its
owner, not even for an instant. Every failure says what to do about it.

TCP_NODELAY is not set here: trio sets it on every connection.
"""

import errno
import ipaddress
import os
import re
import socket
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import trio

from nixeryd.images.errors import NixerydError

_ADDRESS = re.compile(r"(?P<host>\[[^\]]+\]|[^:\[\]]+):(?P<port>\d{1,5})", re.ASCII)
_BACKLOG = 512
_PROBE = 1.0  # seconds a living daemon has to accept on its admin socket
_AIRPLAY_PORTS = {5000, 7000}


class ListenError(NixerydError):
    """A socket cannot be made; the message says why and what to type."""


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address and a port; port 0 lets the kernel choose."""

    ip: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `127.0.0.1:5000`, `[::1]:5000` or `localhost:5000` (IPv4)."""
        match = _ADDRESS.fullmatch(text)
        host = match["host"].strip("[]") if match else ""
        try:
            ip = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
            port = int(match["port"]) if match else -1
        except ValueError:
            port = -1
            ip = ipaddress.IPv4Address(0)
        if not 0 <= port < 2**16 or (ip.version == 6) != text.startswith("["):  # noqa: PLR2004  IPv6
            raise ListenError(
                f"{text!r} is no address to listen on: expected an IP address and"
                " a port, such as 127.0.0.1:5000 or [::1]:5000"
            )
        return cls(ip, port)

    def __str__(self) -> str:
        host = f"[{self.ip}]" if self.ip.version == 6 else str(self.ip)  # noqa: PLR2004  IPv6
        return f"{host}:{self.port}"


def open_tcp(
    addresses: Sequence[str],
    *,
    allow_remote: bool = False,
    option: str = "--listen",
    platform: str = sys.platform,
) -> list[trio.SocketListener]:
    """Listen on all of `addresses`, or on none and raise ListenError.

    `option` is what the user would type to choose another address.
    """
    opened: list[socket.socket] = []
    try:
        for address in [Address.parse(text) for text in addresses]:
            _check_reach(address, allow_remote=allow_remote)
            opened.append(_bind(address, option, platform))
    except BaseException:
        for sock in opened:
            sock.close()
        raise
    return [as_listener(sock) for sock in opened]


def _check_reach(address: Address, *, allow_remote: bool) -> None:
    if not (allow_remote or address.ip.is_loopback):
        raise ListenError(
            f"refuses to listen on {address}, which others can reach, unless"
            " --allow-remote is given: there is no password"
        )


def as_listener(sock: socket.socket) -> trio.SocketListener:
    """Hand a listening socket over to trio."""
    return trio.SocketListener(trio.socket.from_stdlib_socket(sock))


def _bind(address: Address, option: str, platform: str) -> socket.socket:
    v6 = isinstance(address.ip, ipaddress.IPv6Address)
    sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if v6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((str(address.ip), address.port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise ListenError(_explain(error, address, option, platform)) from error
    return sock


def _explain(error: OSError, address: Address, option: str, platform: str) -> str:
    other = Address(address.ip, (address.port + 50) % 2**16)
    advice = f"choose another port: {option} {other}"
    match error.errno:
        case errno.EADDRINUSE:
            owner = "another nixeryd or another registry"
            if platform == "darwin" and address.port in _AIRPLAY_PORTS:
                owner = "macOS's AirPlay Receiver (System Settings, AirDrop & Handoff)"
            return f"port {address.port} is taken, perhaps by {owner}; {advice}"
        case errno.EACCES:
            return f"port {address.port} needs root's rights; {advice}"
        case errno.EADDRNOTAVAIL:
            return f"{address.ip} is no address of this machine"
        case _:
            return f"cannot listen on {address}: {error.strerror}"


@contextmanager
def open_unix(path: Path) -> Iterator[trio.SocketListener]:
    """Listen on a Unix socket that only its owner may connect to; unlink it after.

    A socket file that nobody answers on is replaced. ListenError if somebody
    does, or if the file is not ours or no socket.
    """
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX)
    with sock:
        try:
            sock.bind(os.fspath(path))
            # Nobody can connect before listen(), so no umask is needed.
            path.chmod(0o600)
            sock.listen(_BACKLOG)
            made = path.lstat()
        except OSError as error:
            reason = error.strerror or str(error)  # a long path has no strerror
            raise ListenError(f"cannot listen on {path}: {reason}") from error
        try:
            yield as_listener(sock)
        finally:
            with suppress(OSError):
                if os.path.samestat(made, path.lstat()):  # not our successor's
                    path.unlink()


def _remove_stale(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ListenError(f"cannot listen on {path}: {error.strerror}") from error
    if not stat.S_ISSOCK(found.st_mode):
        raise ListenError(f"cannot listen on {path}: there is a file that is no socket")
    if found.st_uid != os.geteuid():
        raise ListenError(f"cannot listen on {path}: it belongs to another user")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PROBE)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ListenError(
                f"cannot tell whether a daemon answers on {path}: {error}"
            ) from error
        else:
            raise ListenError(f"another daemon answers on {path}")
