"""One HTTP/1.1 connection: a stream on one side, an ASGI app on the other.

It replaces hypercorn's own `TCPServer`, which cannot bound a write and loses
track of connections whose app is cancelled.

The law: only `run` closes the stream in an orderly way, and for that the reader
has to stop: whoever wants an end calls `_end`, which lets it finish what it does;
whoever finds the stream unusable calls `_abort`, which does not.
"""

import logging
import math
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

from nixeryd.runtime.sockdiag import PeerGoneError
from nixeryd.web.asgi import App
from nixeryd.web.http11 import Http11, Tasks
from nixeryd.web.peers import Peers
from nixeryd.web.sendfile import send_file
from nixeryd.web.zerocopy import FileData

_log = logging.getLogger(__name__)

_READ = 64 * 1024  # bytes taken from the socket at once
_WRITE = 256 * 1024  # bytes that a client must take within Timeouts.write
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: send RST, keep nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a client may take, in seconds.

    `keep_alive`: for a whole request to begin arriving, first or next. Go
    clients keep idle connections for 90 s, and hate to lose the race.
    `write`: to take the next 256 KiB of a response.
    `linger`: to notice an error answer that came before it had sent everything.
    """

    keep_alive: float = 120
    write: float = 60
    linger: float = 1


class Connection:
    """Serve one client. `run` raises only on a defect of this program.

    With `peers`, which user asks is found out first, and has to be one of them.
    """

    def __init__(
        self,
        app: App,
        stream: trio.SocketStream,
        *,
        config: Config,
        timeouts: Timeouts,
        peers: Peers | None = None,
    ) -> None:
        self._app = app
        self._peers = peers
        self._stream = stream
        self._config = config
        self._timeouts = timeouts
        self._context = WorkerContext(None)
        self.idle_since = trio.current_time()  # inf while a request runs
        self._ending = False
        self._deadline = math.inf  # of the reader, for the next bytes
        self._receiving = trio.CancelScope()
        self._reading = trio.CancelScope()
        self._writing = trio.Lock()
        self._protocol: Http11

    def __repr__(self) -> str:
        return f"<Connection {'idle' if self._is_idle else 'busy'}>"

    async def run(self) -> None:
        """Serve requests until the client leaves, is too slow, or `drain`."""
        sock = self._stream.socket
        try:
            client = parse_socket_addr(sock.family, sock.getpeername())
            server = parse_socket_addr(sock.family, sock.getsockname())
            uid = self._peers.uid(sock) if self._peers else None
        except (PeerGoneError, OSError):
            return  # gone between connect and accept
        app = self._peers.check(self._app, uid) if self._peers else self._app
        async with trio.open_nursery() as nursery:
            self._protocol = Http11(
                ASGIWrapper(app),
                self._config,
                self._context,
                Tasks(nursery),
                ConnectionState({}),
                False,  # noqa: FBT003  hypercorn's `ssl`, positional
                client,
                server,
                self._send,
            )
            self._set_idle(idle=True)
            with self._reading:
                await self._read()
            # A request that still runs learns here that nobody waits for it.
            await self._protocol.handle(Closed())
        await self._close()

    async def drain(self) -> None:
        """End at once when idle, else after the running response."""
        await self._context.terminated.set()
        self.end_if_idle()

    def end_if_idle(self) -> None:
        """End unless a request runs."""
        if self._is_idle:
            self._end()

    @property
    def _is_idle(self) -> bool:
        return self.idle_since < math.inf

    def close(self) -> None:
        """Let go of the socket, whatever its state."""
        self._stream.socket.close()

    async def _read(self) -> None:
        while not self._ending:
            try:
                with trio.CancelScope(deadline=self._deadline) as self._receiving:
                    data = bytes(await self._stream.receive_some(_READ))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if self._receiving.cancelled_caught:
                return
            await self._protocol.handle(RawData(data))
            if not data:
                return

    def _end(self) -> None:
        self._ending = True
        self._receiving.cancel()

    async def _send(self, event: Event | FileData) -> None:
        # Only a write may be a checkpoint. After a response's last byte quart-trio
        # cancels the task that is still in here, and the connection would neither
        # be closed nor timed out (tests/web/test_app.py).
        match event:
            case RawData(data=data) if data:
                await self._write(data)
            case FileData() as file:
                await self._write_file(file)
            case Updated(idle=idle):
                self._set_idle(idle=idle)
            case Closed():
                self._end()

    def _set_idle(self, *, idle: bool) -> None:
        self.idle_since = trio.current_time() if idle else math.inf
        self._deadline = self.idle_since + self._timeouts.keep_alive
        self._receiving.deadline = self._deadline

    async def _write(self, data: bytes) -> None:
        view = memoryview(data)
        if not self._writing.locked():
            view = view[self._write_at_once(view) :]
        if not view:
            return
        async with self._whole_write():
            for start in range(0, len(view), _WRITE):
                with trio.fail_after(self._timeouts.write):
                    await self._stream.send_all(view[start : start + _WRITE])

    def _write_at_once(self, view: memoryview) -> int:
        """Write what the socket takes without waiting; it has room for most answers."""
        try:
            return os.write(self._stream.socket.fileno(), view)
        except OSError:
            return 0  # full, or broken, as will be seen

    async def _write_file(self, file: FileData) -> None:
        sock = self._stream.socket
        async with self._whole_write():
            await send_file(sock, file.fd, file.part, self._timeouts.write)

    @asynccontextmanager
    async def _whole_write(self) -> AsyncIterator[None]:
        """Write one thing at a time, and cut the connection if it is not whole."""
        whole = False
        async with self._writing:
            try:
                yield
                whole = True
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the reader sees it too
            except trio.TooSlowError:
                _log.warning(
                    "a client took none of its response for %s s: connection closed",
                    self._timeouts.write,
                )
            finally:
                if not whole:  # also when cancelled: nothing sensible can follow
                    self._abort()

    def _abort(self) -> None:
        """Cut the connection so that the client can't take it for an orderly end."""
        with suppress(OSError):
            self._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._stream.socket.close()
        self._reading.cancel()

    async def _close(self) -> None:
        """Close with FIN first; then wait a little if the client is still sending.

        Closing a socket with unread bytes in it makes the kernel send RST, which
        may overtake the answer that says what was wrong.
        """
        with (
            trio.move_on_after(self._timeouts.linger),
            suppress(trio.BrokenResourceError, trio.ClosedResourceError),
        ):
            await self._stream.send_eof()
            if self._protocol.has_unread_request:
                while await self._stream.receive_some(_READ):
                    pass
        self._stream.socket.close()
