"""By which way a request goes out: directly, or through a proxy.

Law: who is asked directly is checked by address (`AddressGuard`). Through a proxy the
name is all that can be checked, as it is the proxy that resolves it: addresses and
names that are known to be inside are refused, a public name that leads inside is the
proxy's to refuse. Each upstream has pools of its own, and what is the upstream's own
(its certificates, its client certificate) shares none with anybody else.
"""

import re
import ssl
from collections.abc import Iterable

import httpcore
import httpx
import trio

from nixeryd.config.proxies import Proxies, Proxy
from nixeryd.upstream.bodies import GOODBYE
from nixeryd.upstream.certificates import Contexts
from nixeryd.upstream.errors import UpstreamBroken, UpstreamUnreachable
from nixeryd.upstream.network import (
    AddressGuard,
    LargeReads,
    SocketOption,
)
from nixeryd.upstream.trust import name_locality

CONNECTIONS = 32
KEPT_ALIVE = 8
KEPT_SECONDS = 30.0
PORTS = {"http": 80, "https": 443}
_TRANSIENT = frozenset({500, 502, 503, 504})


class RoutingTransport(httpx.AsyncBaseTransport):
    """Has a pool for each way that is used, made when it first is."""

    def __init__(
        self, upstream: str, home: httpx.URL, proxies: Proxies, contexts: Contexts
    ) -> None:
        self._upstream = upstream
        self._own = _address(home)
        self._proxies = proxies
        self._contexts = contexts
        self._guard = AddressGuard(upstream, *self._own)
        self._pools: dict[tuple[bool, Proxy | None], _Pool] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Ask; UpstreamError for what only a proxy can do wrong."""
        host, port = _address(request.url)
        is_own = (host, port) == self._own
        proxy = self._proxies.choose(request.url.scheme, host, port)
        pool = self._pool(proxy, is_own=is_own)
        if proxy is None:
            return await pool.handle_async_request(request)
        if not is_own:
            self._check(host)
        try:
            response = await pool.handle_async_request(request)
        except httpx.ProxyError as error:
            # "407 Proxy Authentication Required": the words are the proxy's own.
            status = re.match(r"\d{3}", str(error))
            raise self._refused(proxy, int(status[0]) if status else 0) from None
        if response.status_code == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
            await response.aclose()
            raise self._refused(proxy, response.status_code)
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            await pool.aclose()

    def _pool(self, proxy: Proxy | None, *, is_own: bool) -> "_Pool":
        way = (is_own, proxy)
        if way not in self._pools:
            context = self._contexts.own if is_own else self._contexts.others
            backend: httpcore.AsyncNetworkBackend = self._guard
            if proxy is not None:
                backend = _ProxyBackend(self._upstream, proxy)
            options = {
                "ssl_context": context,
                "max_connections": CONNECTIONS,
                "max_keepalive_connections": KEPT_ALIVE,
                "keepalive_expiry": KEPT_SECONDS,
                "network_backend": backend,
            }
            pool = _make_pool(proxy, self._contexts, options)
            self._pools[way] = _Pool(pool, context)
        return self._pools[way]

    def _check(self, host: str) -> None:
        there = name_locality(host)
        if not there.is_reachable_from(name_locality(self._own[0])):
            raise UpstreamBroken(
                self._upstream,
                f"sent us to {host}, which is a {there.value} address; refused, as the"
                " upstream itself is not there",
            )

    def _refused(self, proxy: Proxy, status: int) -> UpstreamUnreachable:
        if status == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
            said = (
                "does not accept the user name and password in its URL"
                if proxy.username
                else "wants a user name and a password: write its URL as"
                " http://USER:PASSWORD@HOST:PORT"
            )
        else:
            answered = f" (it answers {status})" if status else ""
            said = f"does not let us through{answered}"
        return UpstreamUnreachable(
            self._upstream, f"the proxy {proxy} {said}", transient=status in _TRANSIENT
        )


def _address(url: httpx.URL) -> tuple[str, int]:
    return url.raw_host.decode("ascii"), url.port or PORTS.get(url.scheme, 0)


def _make_pool(
    proxy: Proxy | None, contexts: Contexts, options: dict[str, object]
) -> httpcore.AsyncConnectionPool:
    if proxy is None:
        return httpcore.AsyncConnectionPool(**options)  # type: ignore[arg-type]
    login = None
    if proxy.username or proxy.password:
        login = (proxy.username.encode(), proxy.password.encode())
    if proxy.scheme == "socks5":
        return httpcore.AsyncSOCKSProxy(str(proxy), proxy_auth=login, **options)  # type: ignore[arg-type]
    if proxy.scheme == "https":
        options = options | {"proxy_ssl_context": contexts.others}
    return _HTTPProxy(str(proxy), proxy_auth=login, **options)  # type: ignore[arg-type]


class _HTTPProxy(httpcore.AsyncHTTPProxy):
    """httpcore's, without its leak: what fails after CONNECT would be kept for good.

    The connection to the proxy then still waits for an answer to be read, so it is
    neither idle nor closed, and takes a place in the pool until there are none.
    """

    def create_connection(
        self, origin: httpcore.Origin
    ) -> httpcore.AsyncConnectionInterface:
        connection = super().create_connection(origin)
        return connection if origin.scheme == b"http" else _Tunnel(connection)


class _Tunnel(httpcore.AsyncConnectionInterface):
    """A connection through CONNECT that closes when it cannot be made."""

    def __init__(self, connection: httpcore.AsyncConnectionInterface) -> None:
        self._connection = connection
        self._is_made = False

    async def handle_async_request(
        self, request: httpcore.Request
    ) -> httpcore.Response:
        try:
            response = await self._connection.handle_async_request(request)
        except httpcore.ConnectionNotAvailable:
            raise
        except BaseException:
            if not self._is_made:
                with trio.move_on_after(GOODBYE, shield=True):
                    await self._connection.aclose()
            raise
        self._is_made = True
        return response

    async def aclose(self) -> None:
        await self._connection.aclose()

    def info(self) -> str:
        return self._connection.info()

    def can_handle_request(self, origin: httpcore.Origin) -> bool:
        return self._connection.can_handle_request(origin)

    def is_available(self) -> bool:
        return self._connection.is_available()

    def has_expired(self) -> bool:
        return self._connection.has_expired()

    def is_idle(self) -> bool:
        return self._connection.is_idle()

    def is_closed(self) -> bool:
        return self._connection.is_closed()


class _Pool(httpx.AsyncHTTPTransport):
    """httpx's transport with a pool of ours, for which it has no argument."""

    def __init__(
        self, pool: httpcore.AsyncConnectionPool, context: ssl.SSLContext
    ) -> None:
        super().__init__(verify=context, trust_env=False)
        self._pool = pool


class _ProxyBackend(httpcore.AsyncNetworkBackend):
    """Connects to the proxy, wherever that is, and names it when that fails."""

    def __init__(self, upstream: str, proxy: Proxy) -> None:
        self._upstream = upstream
        self._proxy = proxy
        self._backend = httpcore.TrioBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            stream = await self._backend.connect_tcp(
                host, port, timeout, local_address, socket_options
            )
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            raise UpstreamUnreachable(
                self._upstream,
                f"the proxy {self._proxy} cannot be reached",
                transient=True,
            ) from error
        return LargeReads(stream)

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)
