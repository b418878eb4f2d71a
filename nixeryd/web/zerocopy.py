"""ASGI's extension for sending files without copying, which hypercorn lacks.

An app sends a message that names an open file; what goes on from here to the
connection in the place of bytes is `FileData`, which has a length and is never
read. And a piece of a body that is empty still lets the headers go.

https://asgi.readthedocs.io/en/latest/extensions.html#zero-copy-send
"""

from dataclasses import dataclass
from typing import Literal, TypedDict, cast

from hypercorn.protocol.events import Body, Event
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import ASGISendEvent
from hypercorn.utils import suppress_body


class ZeroCopySend(TypedDict):
    """The message. `offset` and `count` in bytes; `file` is a descriptor."""

    type: Literal["http.response.zerocopysend"]
    file: int
    offset: int
    count: int


@dataclass(frozen=True, slots=True)
class FileData:
    """Bytes of an open file, to be sent as they are."""

    fd: int
    part: range

    def __len__(self) -> int:
        return len(self.part)


class Stream(HTTPStream):
    """One request and its response; as hypercorn's, with files."""

    async def app_send(self, message: ASGISendEvent | ZeroCopySend | None) -> None:
        """Pass on what the app sends; None when it has ended."""
        if message is None or message["type"] == "http.response.start":
            await super().app_send(cast("ASGISendEvent", message))
            return
        is_head = suppress_body(self.scope["method"], self.response["status"])
        if message["type"] == "http.response.zerocopysend":
            part = range(message["offset"], message["offset"] + message["count"])
            if not is_head:
                # To `Http11.stream_send`, which knows it.
                await self.send(cast("Event", FileData(message["file"], part)))
            return
        if (
            message["type"] == "http.response.body"
            and message.get("more_body")
            and not message.get("body")
            and not is_head
        ):
            await self.send(Body(stream_id=self.stream_id, data=b""))
        await super().app_send(cast("ASGISendEvent", message))
