"""Read, or throw away, the body of an answer: never more than was agreed.

Law: whoever opened an answer closes it, shielded but not for ever; a small body that
nobody wants is read to its end, so that the connection can serve again.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import trio

# Bytes; redirects and error bodies are smaller.
SMALL = 64 * 1024
# Seconds to say goodbye to a peer.
GOODBYE = 2


@asynccontextmanager
async def open_body(response: httpx.Response) -> AsyncIterator[AsyncIterator[bytes]]:
    """Return the body's bytes as they come; the response is closed in the end."""
    chunks = response.aiter_raw()
    try:
        yield chunks
    finally:
        with trio.move_on_after(GOODBYE, shield=True):
            await response.aclose()
            # It is five generators deep, and `aclose` of the outermost would leave
            # the others to the garbage collector, which trio warns of. Reading on,
            # from a connection that is closed now, ends them all with an error.
            with suppress(httpx.HTTPError, httpx.StreamError):
                async for _ in chunks:
                    pass


async def read_body(response: httpx.Response, limit: int) -> bytes | None:
    """Read all and close; None if there is more than `limit` bytes of it."""
    body = bytearray()
    async with open_body(response) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > limit:
                return None
    return bytes(body)


async def discard(response: httpx.Response) -> None:
    """Have done with an answer whose body does not matter."""
    with trio.move_on_after(GOODBYE):
        try:
            await read_body(response, SMALL)
        except httpx.HTTPError:
            await trio.lowlevel.checkpoint()
