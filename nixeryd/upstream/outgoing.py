"""How others are asked, the same for all who ask: proxies, time-outs, headers.

Law: upstreams, their token services and documents are asked by a client of
`open_client`; nothing of the daemon goes out in another way, but for git and Nix, which
get the same proxies in their environment.
"""

import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

import nixeryd
from nixeryd.config.networking import Network
from nixeryd.config.proxies import Proxies, choose_proxies
from nixeryd.upstream.certificates import Contexts, system_contexts
from nixeryd.upstream.transport import RoutingTransport

# They log whole URLs (INFO) and headers (DEBUG): signatures and tokens.
for _talkative in ("httpx", "httpcore"):
    logging.getLogger(_talkative).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Proxies, and seconds: to connect, and between two chunks of an answer.

    There is no limit for the whole, as blobs are large.
    """

    proxies: Proxies = field(default_factory=Proxies)
    connect_timeout: float = 10.0
    read_timeout: float = 60.0

    @property
    def timeout(self) -> httpx.Timeout:
        """The same in httpx's words."""
        read = self.read_timeout
        return httpx.Timeout(
            connect=self.connect_timeout, read=read, write=read, pool=None
        )


DIRECT = Outgoing()


def read_outgoing(
    network: Network, environ: Mapping[str, str] = os.environ
) -> Outgoing:
    """Put the settings and the environment's proxies together.

    Raises:
        ValueError: a variable that holds no proxy; the message names it.

    """
    proxies = choose_proxies(environ, network.proxy, network.no_proxy)
    return Outgoing(proxies, network.connect_timeout, network.read_timeout)


@asynccontextmanager
async def open_client(
    upstream: str,
    url: str,
    *,
    via: str,
    outgoing: Outgoing = DIRECT,
    contexts: Contexts | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    """Open pools of connections for the upstream at `url`. Connects to nothing yet.

    `via` is our pseudonym in the `Via` header, by which a daemon that was made its
    own upstream knows its own requests (RFC 9110, 7.6.3). `contexts`: whom to trust;
    by default, whom the system trusts.
    """
    transport = RoutingTransport(
        upstream, httpx.URL(url), outgoing.proxies, contexts or system_contexts()
    )
    async with httpx.AsyncClient(
        transport=transport,
        headers={
            "User-Agent": f"nixeryd/{nixeryd.__version__}",
            # Digests are of the bytes as stored: nobody may compress on the way.
            "Accept-Encoding": "identity",
            "Via": f"1.1 {via}",
        },
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=outgoing.timeout,
        follow_redirects=False,
        trust_env=False,
    ) as client:
        yield client
