"""The accept loop: given listeners and an ASGI app, serve until told to stop.

The law: a connection's failure never leaves its barrier; a failure of the accept
loop itself always does, and ends the daemon. Knows nothing of what is served.
"""

import errno
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

import trio

from nixeryd.runtime.exhaustion import EXHAUSTED
from nixeryd.web.asgi import App
from nixeryd.web.connection import Connection, Timeouts
from nixeryd.web.connection_limit import MOST, ConnectionLimit
from nixeryd.web.http11 import make_config
from nixeryd.web.peers import Peers

_log = logging.getLogger(__name__)

# accept(2): "treat them like EAGAIN by retrying"
_CLIENT_GONE = {
    errno.ECONNABORTED,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.ENOPROTOOPT,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.EPROTO,
}
_OVERLOAD_PAUSE = 0.1  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What clients may take.

    `grace`: seconds that running responses get to finish after a stop.
    """

    grace: float = 10
    timeouts: Timeouts = field(default_factory=Timeouts)


async def serve(  # noqa: ASYNC128, PLR0913  it is handed on; what a server is made of
    app: App,
    listeners: Sequence[trio.SocketListener],
    *,
    stop: trio.Event,
    room: ConnectionLimit | None = None,
    limits: Limits | None = None,
    peers: Peers | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` on `listeners`, which are closed at the end, until `stop` is set.

    `room` is for all connections; others may share it, or there is one of its own.
    `peers` says which users are answered; without it all are.
    Then: nothing more is accepted, idle connections end at once, running
    responses get `limits.grace` seconds, and what is left is cut. Cancelling
    cuts at once. OSErrors of accept(2) that mean neither overload nor a client
    that left again are raised.
    """
    server = _Server(
        app, limits or Limits(), ConnectionLimit(MOST) if room is None else room, peers
    )
    await server.run(listeners, stop, task_status)


class _Server:
    def __init__(
        self, app: App, limits: Limits, room: ConnectionLimit, peers: Peers | None
    ) -> None:
        self._app = app
        self._limits = limits
        self._config = make_config()
        self._room = room
        self._peers = peers
        self._open: set[Connection] = set()

    async def run(
        self,
        listeners: Sequence[trio.SocketListener],
        stop: trio.Event,
        task_status: trio.TaskStatus[None],
    ) -> None:
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as accepting:
                for listener in listeners:
                    accepting.start_soon(self._accept, listener, connections)
                task_status.started()
                await stop.wait()
                accepting.cancel_scope.cancel()
            for connection in list(self._open):
                await connection.drain()
            connections.cancel_scope.deadline = trio.current_time() + self._limits.grace

    async def _accept(
        self, listener: trio.SocketListener, connections: trio.Nursery
    ) -> None:
        told = self._peers and self._peers.can_tell(listener.socket)
        async with listener:
            while True:
                stream = await _accept_one(listener)
                connection = Connection(
                    self._app,
                    stream,
                    config=self._config,
                    timeouts=self._limits.timeouts,
                    peers=self._peers if told else None,
                )
                try:
                    await self._room.enter(connection)
                except BaseException:
                    connection.close()
                    raise
                self._open.add(connection)  # here, so that a drain misses none
                connections.start_soon(self._handle, connection)

    async def _handle(self, connection: Connection) -> None:
        try:
            await connection.run()
        except* Exception:  # noqa: BLE001  the barrier
            _log.exception("a connection failed; the others go on")
        finally:
            connection.close()
            self._open.discard(connection)
            self._room.leave(connection)


async def _accept_one(listener: trio.SocketListener) -> trio.SocketStream:
    while True:
        try:
            return await listener.accept()
        except OSError as error:
            if error.errno in EXHAUSTED:
                _log.error(
                    "cannot accept connections: %s; trying again in %s s",
                    os.strerror(error.errno),
                    _OVERLOAD_PAUSE,
                )
                # Of the error nothing is wanted any more.
                await trio.sleep(_OVERLOAD_PAUSE)  # noqa: ASYNC120
            elif error.errno not in _CLIENT_GONE:
                raise
