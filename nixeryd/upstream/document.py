"""Fetch one document by its URL: no registry, no login."""

import secrets

import httpx

from nixeryd.upstream.errors import UpstreamBroken, UpstreamNotFound
from nixeryd.upstream.network import transport_errors
from nixeryd.upstream.outgoing import DIRECT, Outgoing, open_client


async def fetch_document(url: str, *, limit: int, outgoing: Outgoing = DIRECT) -> bytes:
    """Return what is at an http or https URL, `limit` bytes at most.

    Redirects are followed, though never to this machine or its network from
    elsewhere. Raises `UpstreamError`, or ValueError for what is no such URL.
    """
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"{url} is no URL: {error}") from error
    if address.scheme not in {"http", "https"} or not address.host:
        raise ValueError(f"{url} is no http or https URL")
    host = address.netloc.decode("ascii")
    body = bytearray()
    via = f"nixeryd-{secrets.token_hex(4)}"
    async with open_client(host, url, via=via, outgoing=outgoing) as client:
        with transport_errors(host, "fetching a document"):
            async with client.stream("GET", address, follow_redirects=True) as answer:
                if answer.status_code == httpx.codes.NOT_FOUND:
                    raise UpstreamNotFound(host, "404: there is no such document")
                if answer.status_code != httpx.codes.OK:
                    raise UpstreamBroken(host, f"answers {answer.status_code}")
                async for chunk in answer.aiter_raw():
                    body += chunk
                    if len(body) > limit:
                        raise UpstreamBroken(host, f"sends more than {limit} bytes")
    return bytes(body)
