"""A limit on open connections, shared by listeners.

The law: a connection that says nothing never keeps out one that does. When all
places are taken, the one that has been idle for longest gives up its place: a client
that kept it for later connects again, one that only holds it has no claim to it.
Those that are being answered are waited for; what waits costs one descriptor per
door, and the rest of it waits in the kernel.
"""

import resource
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import trio

from nixeryd.web.connection import Connection
from nixeryd.web.ports import ListenerKind

MOST: Final = 800  # connections; each may hold a blob's file open too
_OWNERS = 64  # connections of the admin socket
_FILES = 8192  # descriptors: all that, and what builds and downloads need
_KEPT = 200  # of them, for everything that is no connection
_LOOK_AGAIN = 0.25  # seconds, while there is no room


def raise_file_limit() -> int:
    """Let this process open as many files as it may need; give how many it may.

    Shells and systemd give 1024 (macOS 256) unless asked, for the sake of programs
    that use select(2). https://0pointer.net/blog/file-descriptor-limits.html
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _FILES if soft == resource.RLIM_INFINITY else soft


class ConnectionLimit:
    """The connections that are open, `size` at most.

    `patience`: seconds that an idle one is spared; it may be about to ask.
    """

    def __init__(self, size: int, *, patience: float = 2.0) -> None:
        self._size = size
        self._patience = patience
        self._open: dict[Connection, None] = {}  # the first came first
        self._left = trio.Event()

    def __len__(self) -> int:
        return len(self._open)

    async def enter(self, connection: Connection) -> None:
        """Wait for a place; the connection has it until it leaves."""
        while len(self._open) >= self._size:
            self._make_room()
            with trio.move_on_after(_LOOK_AGAIN):
                await self._left.wait()
        self._open[connection] = None

    def leave(self, connection: Connection) -> None:
        """Return up a place, if it has one."""
        self._open.pop(connection, None)
        self._left.set()
        self._left = trio.Event()

    def _make_room(self) -> None:
        before = trio.current_time() - self._patience
        found = [one for one in self._open if one.idle_since <= before]
        if found:
            min(found, key=lambda one: one.idle_since).end_if_idle()


def open_connection_limits(files: int) -> Mapping[ListenerKind, ConnectionLimit]:
    """Return the connection limit of each kind of listener, within so many descriptors.

    Clients share one; the owner gets in whoever crowds.
    """
    clients = ConnectionLimit(max(8, min(MOST, (files - _KEPT) // 2)))
    return {
        ListenerKind.MAIN: clients,
        ListenerKind.MIRROR: clients,
        ListenerKind.ADMIN: ConnectionLimit(_OWNERS),
    }
