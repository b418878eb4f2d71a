"""A blob on its way from an upstream.

Law: a body that ends early raises, it never just ends; what the bytes hash to is for
whoever stores them to check. Bytes come as they are stored: no content coding.

https://www.rfc-editor.org/rfc/rfc9110#section-14.4
"""

import re
from collections.abc import AsyncIterator
from typing import Self

import httpx

from nixeryd.upstream.errors import UpstreamBroken
from nixeryd.upstream.network import transport_errors

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)


class BlobStream:
    """The bytes of a blob from `start` on; iterate once, in the task that opened it.

    `size` is that of the whole blob, None if the upstream does not say. `start` is
    what was asked for, or 0 if the upstream ignores ranges: then the caller skips.
    """

    def __init__(
        self,
        upstream: str,
        chunks: AsyncIterator[bytes],
        size: int | None,
        start: int,
    ) -> None:
        self._upstream = upstream
        self._chunks = chunks
        self.size = size
        self.start = start

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Return the next bytes; UpstreamUnreachable when the connection breaks."""
        with transport_errors(self._upstream, "sending a blob"):
            return await anext(self._chunks)


def read_extent(
    upstream: str, response: httpx.Response, offset: int
) -> tuple[int | None, int]:
    """Say how large the whole blob is, and where in it this answer starts.

    Raises:
        UpstreamBroken: another range than was asked for, or a content coding.

    """
    coding = response.headers.get("Content-Encoding", "identity")
    if coding.lower() != "identity":
        raise UpstreamBroken(
            upstream, "sent a blob in a content coding nobody asked for"
        )
    if response.status_code == httpx.codes.OK:
        length = response.headers.get("Content-Length", "")
        return (int(length) if length.isdigit() else None), 0
    extent = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if extent is None or int(extent[1]) != offset:
        raise UpstreamBroken(upstream, f"did not send the bytes from {offset} on")
    return (None if extent[3] == "*" else int(extent[3])), offset
