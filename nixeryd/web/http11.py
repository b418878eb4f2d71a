"""What hypercorn's HTTP/1.1 protocol needs to be told and kept from.

The law: no protocol switches, so that a bad h2c or WebSocket request is only a
request; and nothing here waits for an app that does not listen. With
`connection` the only importer of hypercorn (and `asgi` of its types).

https://www.rfc-editor.org/rfc/rfc9112
"""

import logging
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, Self, cast

import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Event, RawData
from hypercorn.protocol.events import Event as StreamEvent, Request, Response
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.typing import (
    AppWrapper,
    ASGIReceiveEvent,
    ASGISendEvent,
    H11SendableEvent,
    Scope,
)

from nixeryd.images.errors import NixerydError
from nixeryd.web.zerocopy import FileData, Stream

_log = logging.getLogger(__name__)

_HEADERS = 32 * 1024  # bytes of request line and headers; more is 431
_QUEUE = 10  # pieces of a request body that wait for the app
# RFC 9110, 9.3.1: content of a GET "has no generally defined semantics".
_BODILESS = {"GET", "HEAD"}


def make_config() -> Config:
    """Return the settings that hypercorn's protocol classes look at."""
    config = Config()
    config.accesslog = None
    config.errorlog = _log  # a name here would replace that logger's handlers
    config.h11_max_incomplete_size = _HEADERS
    config.include_server_header = False
    config.keep_alive_max_requests = sys.maxsize
    return config


class Http11(H11Protocol):
    """hypercorn's HTTP/1.1: less upgrades, plus files, and closing in a drain."""

    _head = b""  # headers that were not sent yet
    _is_last = False  # whether the connection ends with this response

    async def _check_protocol(self, event: h11.Request) -> None:
        """Never switch protocols: RFC 9110, 7.8 lets a server ignore Upgrade."""

    async def _create_stream(self, request: h11.Request) -> None:
        # RFC 9112, 6.1: chunked and a Content-Length "ought to be handled as an
        # error", and "the server MUST close the connection after responding".
        names = {name for name, _ in request.headers}
        self._is_last = names >= {b"transfer-encoding", b"content-length"}
        self.stream = Stream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=list(request.headers),
                http_version=request.http_version.decode(),
                method=request.method.decode("ascii").upper(),
                raw_path=request.target,
                state=self.connection_state,
            )
        )

    async def stream_send(self, event: StreamEvent | FileData) -> None:
        match event:
            case FileData():
                await self._send_file(event)
            case Response() if self._ends_with_this:
                headers = [*event.headers, (b"connection", b"close")]
                await super().stream_send(replace(event, headers=headers))
            case _:
                await super().stream_send(event)

    @property
    def _ends_with_this(self) -> bool:
        # What of a request was not read would be taken for the next one, so the
        # connection is closed; who is not told would use it again (RFC 9112, 9.3).
        unread = self.connection.their_state is h11.SEND_BODY
        return self._is_last or unread or self.context.terminated.is_set()

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        # Headers go with what follows: one write, and the client wakes up once.
        try:
            data = self._head + self.connection.send(event)
        except h11.LocalProtocolError:
            if self.connection.their_state != h11.ERROR:
                raise
            return
        self._head = data if isinstance(event, h11.Response) else b""
        if not self._head:
            await self.send(RawData(data))

    async def _send_file(self, file: FileData) -> None:
        """Let h11 frame the bytes of a file that it never sees.

        https://h11.readthedocs.io/en/latest/api.html#sendfile
        """
        data = h11.Data(data=cast("bytes", file))
        connection = cast("h11.Connection", self.connection)
        head, self._head = self._head, b""
        for piece in (head, *(connection.send_with_data_passthrough(data) or ())):
            await self.send(cast("Event", file) if piece is file else RawData(piece))

    async def _maybe_recycle(self) -> None:
        self._head = b""  # of a response that never had a body
        await super()._maybe_recycle()

    @property
    def has_unread_request(self) -> bool:
        return self.connection.their_state in {h11.ERROR, h11.SEND_BODY}


class _Inbox:
    """What a client sends, on its way to the app.

    An app that does not listen is cancelled when the client leaves, one that does
    is told. Who puts something in may wait for the app, but not beyond its end.
    """

    def __init__(self, scope: Scope) -> None:
        self._is_bodiless = scope["type"] == "http" and scope["method"] in _BODILESS
        self._in, self.out = trio.open_memory_channel[ASGIReceiveEvent](_QUEUE)
        self.deaf = trio.CancelScope()  # of an app that did not listen so far
        self._is_listening = False

    async def put(self, event: ASGIReceiveEvent) -> None:
        if event["type"] == "http.disconnect":
            self._in.close()
            if not self._is_listening:
                self.deaf.cancel()
        elif not self._is_bodiless or not event.get("body"):
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._in.send(event)

    async def receive(self) -> ASGIReceiveEvent:
        self._is_listening = True
        try:
            return await self.out.receive()
        except trio.EndOfChannel:
            return {"type": "http.disconnect"}


class Tasks:
    """Runs the app for hypercorn's protocol, in the connection's nursery.

    Differs from hypercorn's `TaskGroup` in what happens when a client leaves or
    sends what nobody reads: see `_Inbox`.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,  # noqa: ARG002  hypercorn's signature
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        inbox = _Inbox(scope)

        async def run() -> None:
            with inbox.out, inbox.deaf:
                try:
                    await app(scope, inbox.receive, send, _no_threads, _no_threads)
                except* NixerydError as group:
                    # The headers are gone: all there is to do is to break off.
                    for error in _each(group):
                        _log.warning("a response broke off: %s", error)
                except* Exception:  # noqa: BLE001  the connection's barrier
                    _log.exception("a request failed; its connection is closed")
            await send(None)

        self._nursery.start_soon(run)
        return inbox.put

    def spawn(self, func: Callable[..., Awaitable[object]], *args: Any) -> None:
        self._nursery.start_soon(func, *args)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


def _each(group: BaseExceptionGroup[NixerydError]) -> Iterator[NixerydError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _each(error)
        else:
            yield error


def _no_threads(*_: object) -> None:
    raise NotImplementedError("only WSGI apps need this")
