"""A request and its answer, as little of both as the registry protocol needs.

The registry is asked by programs and often, so it stands before the framework,
which takes several times as long as all else. A request is a value, an answer is
a value, and here one becomes the other by ASGI. It never listens to its client,
and so is cancelled when that leaves (`http11.Tasks`).

https://asgi.readthedocs.io/en/latest/specs/www.html, and for files
https://asgi.readthedocs.io/en/latest/extensions.html#zero-copy-send
"""

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from hypercorn.typing import HTTPScope

from nixeryd.runtime.metrics import BLOB_BYTES
from nixeryd.web.asgi import Event, Send
from nixeryd.web.bodies import FileBody
from nixeryd.web.errors import describe
from nixeryd.web.zerocopy import FileData, ZeroCopySend

Pieces: TypeAlias = AbstractAsyncContextManager[AsyncIterable[bytes | FileData]]


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked: the path as it was sent, header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent. `headers` are all there are, whether the body is sent or not."""

    status: int
    headers: dict[str, str]
    body: bytes | FileBody | Pieces = field(default=b"")
    blob_origin: str = ""  # for metrics, where the bytes of a blob come from

    @classmethod
    def of_bytes(
        cls,
        status: int,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        content_type: str = "application/json",
    ) -> "Answer":
        """Make an answer of these very bytes."""
        own = {"Content-Type": content_type, "Content-Length": str(len(body))}
        return cls(status, {**own, **(headers or {})}, body)


async def exchange(
    scope: HTTPScope,
    send: Send,
    answer: Callable[[Request], Awaitable[Answer]],
) -> None:
    """Let `answer` answer one request, and render what it raises."""
    try:
        answered = await answer(_request(scope))
    except Exception as error:  # noqa: BLE001  whatever it is, the client is told
        answered = Answer.of_bytes(*describe(error))
    has_body = scope["method"] != "HEAD"
    if answered.blob_origin and has_body:
        send = _counting(send, answered.blob_origin)
    await _send(answered, send, has_body=has_body)


def _counting(send: Send, origin: str) -> Send:
    """Wrap `send` so that the bytes of a blob are counted once they are sent."""

    async def counted(event: Event) -> None:
        await send(event)
        match event:
            case {"type": "http.response.body", "body": bytes(body)}:
                BLOB_BYTES.inc(origin, by=len(body))
            case {"type": "http.response.zerocopysend", "count": int(count)}:
                BLOB_BYTES.inc(origin, by=count)

    return counted


def _request(scope: HTTPScope) -> Request:
    headers: dict[str, str] = {}
    for raw_name, raw_text in scope["headers"]:
        name, text = raw_name.decode("latin1"), raw_text.decode("latin1")
        # RFC 9110, 5.3: several fields of one name are one, joined by commas.
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return Request(
        scope["method"],
        scope["raw_path"].decode("ascii"),
        scope["query_string"].decode("ascii"),
        headers,
    )


async def _send(answer: Answer, send: Send, *, has_body: bool) -> None:
    headers = [
        (name.encode("latin1"), text.encode("latin1"))
        for name, text in answer.headers.items()
    ]
    await send(
        {"type": "http.response.start", "status": answer.status, "headers": headers}
    )
    match answer.body:
        case bytes(whole):
            await _send_piece(send, whole, more=False)
        case _ if not has_body:
            await _send_piece(send, b"", more=False)
        case FileBody() as file:
            with file:
                await _send_file(send, FileData(file.fd, file.part))
            await _send_piece(send, b"", more=False)
        case pieces:
            async with pieces as opened:
                # Headers wait for what follows, and that may take long.
                await _send_piece(send, b"", more=True)
                async for piece in opened:
                    if isinstance(piece, FileData):
                        await _send_file(send, piece)
                    else:
                        await _send_piece(send, piece, more=True)
            await _send_piece(send, b"", more=False)


async def _send_file(send: Send, file: FileData) -> None:
    message = ZeroCopySend(
        type="http.response.zerocopysend",
        file=file.fd,
        offset=file.part.start,
        count=len(file.part),
    )
    await send(cast("Event", message))


async def _send_piece(send: Send, body: bytes, *, more: bool) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
