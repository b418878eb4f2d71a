"""An HTTP server that misbehaves on demand, alone or in front of a registry.

It counts what it is asked, passes requests on to `backend` (a loopback port), and does
what its rules say instead: answer by itself, change the answer on its way, cut it,
hold it until the test lets go, or hang up. In-process, on loopback, one port.

    server = FaultServer(backend=registry.port)
    await nursery.start(server.run)
    server.on(r"GET .*/blobs/", Change(cut_after=1000), times=1)
    ...
    assert server.count(r"GET .*/blobs/") == 2
"""

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import h11
import trio

from tests.upstream.actions import Change, HangUp, Hold, Reply, Request

CHUNK = 64 * 1024


__all__ = ["Change", "FaultServer", "HangUp", "Hold", "Reply", "Request"]

Action: TypeAlias = Reply | Change | HangUp
Rule: TypeAlias = Action | Hold | Callable[[Request], Action | None]

PASS = Change()


@dataclass(slots=True)
class _Rule:
    pattern: re.Pattern[str]
    rule: Rule
    times: int | None

    def act(self, request: Request) -> Action | Hold | None:
        if self.times == 0 or not self.pattern.search(str(request)):
            return None
        action = self.rule(request) if callable(self.rule) else self.rule
        if action is not None and self.times is not None:
            self.times -= 1
        return action


class _Cut(Exception):  # noqa: N818  not an error: it was asked for
    pass


class FaultServer:
    """The server. Rules added later go first; without one, the backend answers."""

    def __init__(
        self, backend: int | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.port = 0
        self.seen: list[Request] = []
        self.connections = 0
        self.open_connections = 0
        self._backend = backend
        self._tls = tls
        self._rules: list[_Rule] = []
        self._changed = trio.Condition()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.address}"

    def on(self, pattern: str, rule: Rule, times: int | None = None) -> None:
        """For requests whose `METHOD /target` matches, do this (`times` often)."""
        self._rules.insert(0, _Rule(re.compile(pattern), rule, times))

    def count(self, pattern: str = "") -> int:
        """Tell how many requests matched."""
        return len(self.asked(pattern))

    def asked(self, pattern: str = "") -> list[Request]:
        return [r for r in self.seen if re.search(pattern, str(r))]

    async def wait_until_idle(self) -> None:
        """Wait until no client is connected."""
        async with self._changed:
            while self.open_connections:
                await self._changed.wait()

    async def wait_for_count(self, pattern: str, count: int) -> None:
        """Wait until so many requests have matched."""
        async with self._changed:
            while self.count(pattern) < count:
                await self._changed.wait()

    async def run(self, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            self.port = listeners[0].socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, self._serve, listeners)
            task_status.started()

    async def _serve(self, stream: trio.abc.Stream) -> None:
        self.connections += 1
        self.open_connections += 1
        if self._tls is not None:
            stream = trio.SSLStream(
                stream, self._tls, server_side=True, https_compatible=True
            )
        try:
            await self._converse(stream, h11.Connection(h11.SERVER))
        except (_Cut, trio.BrokenResourceError, h11.RemoteProtocolError):
            # Cut by a rule, or the client has left.
            await trio.lowlevel.checkpoint()
        finally:
            self.open_connections -= 1
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)
                await self._notify()

    async def _converse(self, stream: trio.abc.Stream, http: h11.Connection) -> None:
        while (request := await _read_request(stream, http)) is not None:
            self.seen.append(request)
            await self._notify()
            match await self._decide(request):
                case HangUp():
                    return
                case Reply() as reply:
                    await _reply(stream, http, request, reply)
                case Change() as change:
                    await self._pass_on(stream, http, request, change)
            if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                return
            http.start_next_cycle()

    async def _decide(self, request: Request) -> Action:
        for rule in list(self._rules):
            match rule.act(request):
                case None:
                    continue
                case Hold() as hold:
                    await hold.wait()
                case action:
                    return action
        return PASS

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _pass_on(self, stream, http, request: Request, change: Change) -> None:
        if self._backend is None:
            await _reply(stream, http, request, Reply(404))
            return
        if change.hold is not None and change.hold_after is None:
            await change.hold.wait()
        backend = await trio.open_tcp_stream("127.0.0.1", self._backend)
        async with backend:
            theirs = h11.Connection(h11.CLIENT)
            headers = {**request.headers, "connection": "close"}
            if change.ignore_range:
                headers.pop("range", None)
            ask = h11.Request(
                method=request.method, target=request.target, headers=[*headers.items()]
            )
            await backend.send_all(theirs.send(ask))
            await backend.send_all(
                (theirs.send(h11.Data(request.body)) if request.body else b"")
                + theirs.send(h11.EndOfMessage())
            )
            await _relay(stream, http, backend, theirs, change)


async def _read_request(stream, http: h11.Connection) -> Request | None:
    head, body = None, b""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await stream.receive_some(CHUNK))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            headers = {k.decode(): v.decode("latin-1") for k, v in head.headers}
            return Request(head.method.decode(), head.target.decode(), headers, body)
        else:  # the client closed the connection
            return None


async def _reply(stream, http, request: Request, reply: Reply) -> None:
    length = len(reply.body) if reply.length is None else reply.length
    headers = {"Content-Length": str(length), **reply.headers}
    head = h11.Response(status_code=reply.status, headers=[*headers.items()])
    await stream.send_all(http.send(head))
    if request.method != "HEAD" and reply.body:
        await stream.send_all(http.send(h11.Data(reply.body)))
    if request.method != "HEAD" and length > len(reply.body):
        raise _Cut
    await stream.send_all(http.send(h11.EndOfMessage()))


async def _relay(stream, http, backend, theirs, change: Change) -> None:
    sent = 0
    while True:
        event = theirs.next_event()
        if event is h11.NEED_DATA:
            theirs.receive_data(await backend.receive_some(CHUNK))
        elif isinstance(event, h11.Response):
            headers = {k.decode(): v.decode("latin-1") for k, v in event.headers}
            headers.pop("connection", None)
            headers |= {k.lower(): v for k, v in change.headers.items()}
            kept = [(k, v) for k, v in headers.items() if v is not None]
            head = h11.Response(status_code=event.status_code, headers=kept)
            await stream.send_all(http.send(head))
        elif isinstance(event, h11.Data):
            sent = await _relay_data(stream, http, bytes(event.data), sent, change)
        else:
            await stream.send_all(http.send(h11.EndOfMessage()))
            return


async def _relay_data(stream, http, data: bytes, sent: int, change: Change) -> int:
    end = sent + len(data)
    if change.corrupt_at is not None and sent <= change.corrupt_at < end:
        at = change.corrupt_at - sent
        data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    if change.hold is not None and change.hold_after is not None:
        split = change.hold_after - sent
        if 0 <= split < len(data):
            if split:
                await stream.send_all(http.send(h11.Data(data[:split])))
            await change.hold.wait()
            data, sent = data[split:], sent + split
    if change.cut_after is not None and end > change.cut_after:
        data = data[: max(0, change.cut_after - sent)]
        if data:
            await stream.send_all(http.send(h11.Data(data)))
        raise _Cut
    await stream.send_all(http.send(h11.Data(data)))
    return end
