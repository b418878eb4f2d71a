"""Responses of unknown or great length, made while they are sent.

They are whole if they end as they should: the last chunk, or as many bytes as were
announced. What goes wrong on the way cuts the connection.
"""

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import TypeAlias

import trio
from quart import Response
from quart.wrappers.response import ResponseBody
from quart_trio.wrappers import TrioResponse

_NDJSON = "application/x-ndjson"
Chunks: TypeAlias = AbstractAsyncContextManager[trio.abc.ReceiveChannel[bytes]]


def stream_lines(lines: Chunks) -> Response:
    """Answer with JSON lines, each sent at once."""
    return TrioResponse(_Body(lines), content_type=_NDJSON)


def stream_file(chunks: Chunks, size: int, content_type: str) -> Response:
    """Answer with a file of `size` bytes."""
    response = TrioResponse(_Body(chunks), content_type=content_type)
    response.content_length = size
    return response


class _Body(ResponseBody):
    """What comes out of a channel, which is open while it is sent."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> trio.abc.ReceiveChannel[bytes]:
        return await self._stack.enter_async_context(self._chunks)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # What it holds shields its own clean-up.
        await self._stack.__aexit__(kind, error, traceback)  # noqa: ASYNC102
