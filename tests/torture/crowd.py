"""Crowds: clients that hold connections, read slowly, or ask for thousands of names."""

import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress

import trio

from tests.e2e.registry import MANIFEST_TYPE
from tests.e2e.serving import Daemon

LEFT = -1
"""The status of an answer that was not waited for."""
_HOST = "Host: localhost\r\n"
_ACCEPT = f"Accept: {MANIFEST_TYPE}\r\n"
HALF_OPEN = {
    "nothing": "",
    "half a request line": "GET /v2/n1/mani",
    "endless headers": f"GET /v2/ HTTP/1.1\r\n{_HOST}X-Endless: ",
    "a body that never comes": f"POST /api/v1/pull HTTP/1.1\r\n{_HOST}"
    "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
}


class Crowd:
    """Connections of our own, kept open until the block ends."""

    def __init__(self, port: int, nursery: trio.Nursery) -> None:
        self._port = port
        self._nursery = nursery
        self._stack = AsyncExitStack()
        self.streams: list[trio.SocketStream] = []

    async def connect(self, said: str) -> trio.SocketStream:
        """Connect and say this, and no more."""
        stream = await trio.open_tcp_stream("127.0.0.1", self._port)
        self._stack.push_async_callback(trio.aclose_forcefully, stream)
        self.streams.append(stream)
        with suppress(trio.BrokenResourceError):
            await stream.send_all(said.encode())
        return stream

    async def half_open(self, kind: str, count: int) -> None:
        """Connect so often and say what is never a whole request."""
        for _ in range(count):
            stream = await self.connect(HALF_OPEN[kind])
            if kind == "endless headers":
                self._nursery.start_soon(_dribble, stream)

    async def slow_readers(self, path: str, count: int) -> None:
        """Ask so often for something large, and read a byte a second."""
        for _ in range(count):
            stream = await self.connect(f"GET {path} HTTP/1.1\r\n{_HOST}\r\n")
            self._nursery.start_soon(_sip, stream)

    async def close(self) -> None:
        await self._stack.aclose()


async def _dribble(stream: trio.SocketStream) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while True:
            await stream.send_all(b"x")
            await trio.sleep(1)


async def _sip(stream: trio.SocketStream) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while await stream.receive_some(1):  # noqa: ASYNC110  it is what they do
            await trio.sleep(1)


@asynccontextmanager
async def open_crowd(daemon: Daemon) -> AsyncIterator[Crowd]:
    """Return a crowd at a daemon's main door, which goes at the end of the block."""
    async with trio.open_nursery() as nursery:
        crowd = Crowd(daemon.port, nursery)
        try:
            yield crowd
        finally:
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await crowd.close()


async def flood(
    port: int,
    names: Iterable[str],
    answers: Counter[int] | None = None,
    *,
    at_once: int = 50,
    pace: float = math.inf,
    agent: str = "flood/1",
) -> Counter[int]:
    """Ask for all these names on so many connections; counts the answers by status.

    Each client waits for its answer, or for as many seconds as `pace` says: then the
    next name is due, and it asks for that on a new connection (`LEFT`). 0 is a
    connection that the daemon ended without an answer.
    """
    answers = Counter() if answers is None else answers
    left = iter(names)

    async def client() -> None:
        with ExitStack() as stack:
            stream: trio.SocketStream | None = None
            for name in left:
                with trio.move_on_after(pace) as due:
                    if stream is None:
                        stream = await trio.open_tcp_stream("127.0.0.1", port)
                        stack.callback(stream.socket.close)
                    status = await _follow(stream, name, agent)
                if due.cancelled_caught:
                    status = LEFT
                answers[status] += 1
                if status in {LEFT, 0}:
                    stack.close()
                    stream = None
                elif pace < math.inf:
                    await trio.sleep_until(due.deadline)

    async with trio.open_nursery() as nursery:
        for _ in range(at_once):
            nursery.start_soon(client)
    return answers


async def _follow(stream: trio.SocketStream, name: str, agent: str) -> int:
    """Ask for an image until it is there, or not; gives the last status."""
    path = f"/v2/{name}/manifests/latest"
    try:
        while isinstance(found := await _ask(stream, path, agent), str):
            path = found
    except trio.BrokenResourceError:
        return 0
    return found


async def _ask(stream: trio.SocketStream, path: str, agent: str) -> int | str:
    """Return the status of an answer, or where it sends to; 0 if there is none.

    As plain as can be: hundreds at once of a whole HTTP client take longer than what
    they test.
    """
    request = f"GET {path} HTTP/1.1\r\n{_HOST}User-Agent: {agent}\r\n{_ACCEPT}\r\n"
    await stream.send_all(request.encode())
    data = b""
    while b"\r\n\r\n" not in data:
        part = await stream.receive_some()
        if not part:
            return 0
        data += part
    head, _, body = data.decode("latin1").partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    fields = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
    length = int(fields["content-length"])
    while len(body) < length:
        body += (await stream.receive_some()).decode("latin1")
    return fields.get("location") or int(status.split()[1])


def no_such_names(rng: random.Random, count: int) -> list[str]:
    """Name packages that are not there."""
    return [f"no-such-{rng.randrange(10**9)}-{number}" for number in range(count)]
