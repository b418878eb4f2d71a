"""Server-sent events: a response that tells what changes, and ends with the daemon.

The law: no event is queued for a reader. A stream looks at the state when it is
new and when the reader has taken what came before, at most ten times a second;
so a slow reader costs nothing and gets fewer, larger steps. An `id` says what
has been told, and comes back as Last-Event-ID when the reader does.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from collections import deque
from typing import Protocol, Self

import trio
from quart import Response
from quart.wrappers.response import ResponseBody
from quart_trio.wrappers import TrioResponse

PAUSE = 0.1  # seconds between two looks at the state
ALIVE = 20.0  # seconds after which a silent stream says that it is there
RETRY = 1000  # milliseconds until a browser comes back
_MEDIA_TYPE = "text/event-stream"


class EventSource(Protocol):
    """What a stream tells: something that changes, and how to put it."""

    async def changed(self) -> None:
        """Wait until there is something to tell, or no more."""
        ...

    def tell(self) -> list[bytes]:
        """Return the events (by `frame`) that tell what is new; maybe none."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether nothing new will come. What is told by then is sent."""
        ...


def frame(data: str, *, event: str, number: str) -> bytes:
    """Render one event. Data may have any lines; CR and NUL cannot be in an id."""
    lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    text = "".join(f"data: {line}\n" for line in lines)
    return f"event: {event}\nid: {number}\n{text}\n".encode()


def stream(teller: EventSource) -> Response:
    """Answer with a stream of events."""
    response = TrioResponse(_Stream(teller), content_type=_MEDIA_TYPE)
    response.headers["Cache-Control"] = "no-store"
    return response


class _Stream(ResponseBody):
    def __init__(self, teller: EventSource) -> None:
        self._teller = teller
        self._due: deque[bytes] = deque([f"retry: {RETRY}\n\n".encode()])
        self._is_last = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._due:
            return self._due.popleft()
        if self._is_last:
            raise StopAsyncIteration
        # The first look is at once, and what came together is told together.
        self._due.extend(self._look())
        while not self._due and not self._is_last:
            with trio.move_on_after(ALIVE) as waited:
                await self._teller.changed()
            if waited.cancelled_caught:
                return b": still here\n\n"
            await trio.sleep(PAUSE)
            self._due.extend(self._look())
        if not self._due:
            raise StopAsyncIteration
        return self._due.popleft()

    def _look(self) -> list[bytes]:
        # In this order: what is new between the two is told the next time.
        self._is_last = self._teller.is_over
        return self._teller.tell()
