"""Ask Linux about TCP sockets of this machine: which user holds one.

`NETLINK_SOCK_DIAG` answers for one connection, named by its two ends, without
rights and without looking through a table: sock_diag(7), and `inet_diag_req_v2` in
https://github.com/torvalds/linux/blob/master/include/uapi/linux/inet_diag.h

The law: a user is told only of a socket that a program holds. One that was
closed has no inode any more, and its user reads as root's (`inet_twsk_diag_fill`).
"""

import errno
import os
import socket
import struct
import sys
from contextlib import suppress
from typing import NamedTuple, Self, TypeAlias

import trio

_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
_ERROR = 2  # NLMSG_ERROR
_IS_REQUEST = 1  # NLM_F_REQUEST
_ALL_STATES = 0xFFF
_LISTEN = 10  # TCP_LISTEN
_LOOPBACK = 1  # the index of lo, LOOPBACK_IFINDEX
_ANY = 8 * b"\xff"  # INET_DIAG_NOCOOKIE
_MAPPED = 10 * b"\0" + b"\xff\xff"  # of ::ffff:127.0.0.1
_ORIGINAL_DST = 80  # SO_ORIGINAL_DST, IP6T_SO_ORIGINAL_DST
_IP_PKTINFO = 8  # only newer Pythons have it
_IP_PKTOPTIONS = 9
_IPV6_PKTOPTIONS = 6  # IPV6_2292PKTOPTIONS

_HEADER = struct.Struct("=IHHII")
_ENDS = "2s2s16s16sI8s"
_REQUEST = struct.Struct(f"=IHHII BBBxI {_ENDS}")
_ANSWER = struct.Struct(f"=IHHII BBBB {_ENDS} IIIII")
_CODE = struct.Struct("=i")
_PEERCRED = struct.Struct("3i")


Socket: TypeAlias = socket.socket | trio.socket.SocketType


class PeerGoneError(Exception):
    """The other end of a connection is closed: nobody would read an answer."""


class End(NamedTuple):
    """One end of a connection."""

    family: int
    address: bytes
    port: int

    @classmethod
    def of(cls, family: int, name: tuple[str, int]) -> Self:
        """Read what getsockname(2) gives; IPv4 in IPv6 is IPv4."""
        packed = socket.inet_pton(family, name[0].partition("%")[0])
        if packed.startswith(_MAPPED) and family == socket.AF_INET6:
            return cls(socket.AF_INET, packed[len(_MAPPED) :], name[1])
        return cls(family, packed, name[1])

    @property
    def nowhere(self) -> Self:
        """The other end of a socket that listens."""
        return self._replace(address=bytes(len(self.address)), port=0)


class Found(NamedTuple):
    """A socket. `inode` is 0 when no program holds it any more."""

    state: int
    uid: int
    inode: int


class SockDiag:
    """A socket to ask the kernel with. OSError if there is no asking here.

    It knows the sockets of the network namespace in which it was opened.
    """

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise OSError(errno.ENOSYS, "only Linux has sock_diag")
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _SOCK_DIAG
        )
        self._asked = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def find(self, source: End, target: End) -> Found | None:
        """Look up the socket at `source` that is connected to `target`.

        It is found as the kernel finds whom a packet on lo is for, so also one
        that was bound to lo. Else a socket that listens at `source` may be found.
        """
        self._asked = self._asked % 0xFFFFFFFF + 1
        request = _REQUEST.pack(
            *(_REQUEST.size, _BY_FAMILY, _IS_REQUEST, self._asked, 0),
            *(source.family, socket.IPPROTO_TCP, 0, _ALL_STATES),
            *(source.port.to_bytes(2, "big"), target.port.to_bytes(2, "big")),
            *(source.address, target.address, _LOOPBACK, _ANY),
        )
        self._socket.send(request)
        while True:  # The answer is there already: the kernel gave it while we sent.
            data = self._socket.recv(8192)
            _, kind, _, number, _ = _HEADER.unpack_from(data)
            if number == self._asked:
                break
        if kind == _ERROR:
            (code,) = _CODE.unpack_from(data, _HEADER.size)
            if code == -errno.ENOENT:
                return None
            raise OSError(-code, os.strerror(-code))
        fields = _ANSWER.unpack_from(data)
        return Found(state=fields[6], uid=fields[-2], inode=fields[-1])

    def sees(self, listener: Socket) -> bool:
        """Return whether the kernel knows a socket that listens: it may know none.

        Its module may be missing, and the socket may be of another network namespace.
        """
        try:
            end = End.of(listener.family, listener.getsockname())
            found = self.find(end, end.nowhere)
        except OSError:
            return False
        return found is not None and found.inode == os.fstat(listener.fileno()).st_ino

    def listening(self, end: End) -> Found | None:
        """Find who listens at an address, or at all of them."""
        found = self.find(end, end.nowhere)
        return found if found and found.state == _LISTEN else None

    def peer_uid(self, sock: Socket) -> int | None:
        """Tell which user holds the other end; None if it is not of this machine.

        `sock` was accepted from a listener that this object `sees`. Raises
        PeerGoneError if nobody holds it any more. OSError: the kernel gave no answer.
        """
        try:
            here = End.of(sock.family, sock.getsockname())
            there = End.of(sock.family, sock.getpeername())
            found = self.find(there, here)
            if found is None:
                if not _came_over_loopback(sock):
                    return None
                # Redirected on its way: the other end still names where it went to.
                found = self.find(there, _original(sock, here))
            # While ours is connected, nobody else can have a socket by this name.
            sock.getpeername()
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise
            raise PeerGoneError from error
        if found is None or found.inode == 0 or found.state == _LISTEN:
            raise PeerGoneError
        return found.uid


def unix_peer_uid(sock: Socket) -> int | None:
    """Tell which user connected to a Unix socket; None where that is not told."""
    if sys.platform != "linux":
        return None
    _, uid, _ = _PEERCRED.unpack(
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size)
    )
    return int(uid)


def _came_over_loopback(sock: Socket) -> bool:
    """Return whether a connection came by lo, so from this network namespace.

    What is accepted from another machine, or from another namespace, comes by
    another interface, whatever address it has.
    """
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        told = sock.getsockopt(socket.IPPROTO_IPV6, _IPV6_PKTOPTIONS, 64)
        where = struct.calcsize("Nii16s")
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        told = sock.getsockopt(socket.IPPROTO_IP, _IP_PKTOPTIONS, 64)
        where = struct.calcsize("Nii")
    (index,) = struct.unpack_from("i", told, where)
    return bool(index == _LOOPBACK)


def _original(sock: Socket, here: End) -> End:
    """Say where a connection went to before a rule of the firewall sent it here."""
    is_v6 = here.family == socket.AF_INET6
    level = socket.IPPROTO_IPV6 if is_v6 else socket.IPPROTO_IP
    with suppress(OSError):  # no connection tracking, or not this one
        told = sock.getsockopt(level, _ORIGINAL_DST, 28 if is_v6 else 16)
        port = int.from_bytes(told[2:4], "big")
        return here._replace(address=told[8:24] if is_v6 else told[4:8], port=port)
    return here
