"""An HTTP proxy that knows its own names: CONNECT for https, forwarding for http.

proxy = ProxyServer({"registry.test:443": server.port})
await nursery.start(proxy.run)
...
assert proxy.asked == ["CONNECT registry.test:443"]
"""

import base64
import ssl
from collections.abc import Mapping

import h11
import trio


class ProxyServer:
    """Connects `HOST:PORT` to a loopback port; 502 for what it does not know."""

    def __init__(
        self,
        targets: Mapping[str, int] | None = None,
        login: tuple[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.targets = dict(targets or {})
        self.asked: list[str] = []
        self.seen: list[dict[str, str]] = []
        self.open_connections = 0
        self.port = 0
        self._login = login
        self._tls = tls

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def url_for(self, username: str, password: str) -> str:
        return self.url.replace("://", f"://{username}:{password}@")

    async def run(self, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, self._serve, listeners)
            task_status.started()

    async def _serve(self, stream: trio.abc.Stream) -> None:
        self.open_connections += 1
        if self._tls is not None:
            stream = trio.SSLStream(
                stream, self._tls, server_side=True, https_compatible=True
            )
        try:
            await self._answer(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await trio.lowlevel.checkpoint()
        finally:
            self.open_connections -= 1
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)

    async def _answer(self, stream: trio.abc.Stream) -> None:
        http = h11.Connection(h11.SERVER)
        while not isinstance(event := http.next_event(), h11.Request):
            if event is not h11.NEED_DATA:
                return
            http.receive_data(await stream.receive_some(65536))
        method, target = event.method.decode(), event.target.decode()
        headers = {name.decode(): value.decode() for name, value in event.headers}
        self.asked.append(f"{method} {target}")
        self.seen.append(headers)
        if not self._knows(headers):
            await _refuse(stream, http, 407)
            return
        place = target if method == "CONNECT" else target.split("/")[2]
        place += "" if ":" in place else ":80"
        if place not in self.targets:
            await _refuse(stream, http, 502)
            return
        async with await trio.open_tcp_stream("127.0.0.1", self.targets[place]) as far:
            if method == "CONNECT":
                answer = h11.Response(status_code=200, headers=[])
                await stream.send_all(http.send(answer))
            else:
                path = "/" + target.split("/", 3)[3]
                kept = {k: v for k, v in headers.items() if "proxy-" not in k}
                kept["connection"] = "close"
                sent = h11.Request(method=method, target=path, headers=[*kept.items()])
                theirs = h11.Connection(h11.CLIENT)
                await far.send_all(theirs.send(sent) + theirs.send(h11.EndOfMessage()))
            await _join(stream, far)

    def _knows(self, headers: Mapping[str, str]) -> bool:
        if self._login is None:
            return True
        expected = base64.b64encode(":".join(self._login).encode()).decode()
        return headers.get("proxy-authorization") == f"Basic {expected}"


async def _refuse(stream, http: h11.Connection, status: int) -> None:
    headers = [("Content-Length", "0"), ("Connection", "close")]
    head = h11.Response(status_code=status, headers=headers, reason=b"No")
    await stream.send_all(http.send(head) + http.send(h11.EndOfMessage()))


async def _join(near: trio.abc.Stream, far: trio.abc.Stream) -> None:
    async with trio.open_nursery() as nursery:

        async def copy(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
            try:
                async for data in source:
                    await sink.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()

        nursery.start_soon(copy, near, far)
        nursery.start_soon(copy, far, near)
