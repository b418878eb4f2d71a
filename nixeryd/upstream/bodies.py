"""Read, or throw away, the body of an answer: never more than was agreed.

Law: whoever opened an answer closes it, shielded but not for ever; a small body that
nobody wants is read to its end, so that the connection can serve again.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import httpx
import trio

# Bytes; redirects and error bodies are smaller.
SMALL = 64 * 1024
# Seconds to say goodbye to a peer.
GOODBYE = 2


def chunks_of(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Give the body's bytes as they come; to be closed by whoever does not end it."""
    # a generator, though httpx declares less
    return cast("AsyncGenerator[bytes, None]", response.aiter_raw())


async def close(response: httpx.Response) -> None:
    """Close, also when cancelled."""
    with trio.move_on_after(GOODBYE, shield=True):
        await response.aclose()


async def read_body(response: httpx.Response, limit: int) -> bytes | None:
    """Read all and close; None if there is more than `limit` bytes of it."""
    body = bytearray()
    try:
        async with aclosing(chunks_of(response)) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > limit:
                    return None
    finally:
        await close(response)
    return bytes(body)


async def discard(response: httpx.Response) -> None:
    """Have done with an answer whose body does not matter."""
    try:
        with trio.move_on_after(GOODBYE):
            await read_body(response, SMALL)
    except httpx.HTTPError:
        await trio.lowlevel.checkpoint()
    finally:
        await close(response)
