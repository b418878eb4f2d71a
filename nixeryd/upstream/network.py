"""Connections to an upstream, and to whomever it sends us to.

Law: what is checked is the address of the connected socket, so a name that resolves
differently the second time gains nothing; and names that are known to lead inside
are not even connected to. Each upstream has a pool of its own: a connection that one
upstream may use is never handed to another.

No cookies, no redirects by the library, and nothing of the environment but what
`Outgoing` was made of and the certificate store's own variables.
"""

import re
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import httpcore
import httpx
import trio

from nixeryd.upstream.errors import UpstreamBroken, UpstreamUnreachable
from nixeryd.upstream.trust import Locality, address_allowed, locality

# Bytes.
READ = 256 * 1024

SocketOption = (
    tuple[int, int, int]
    | tuple[int, int, bytes | bytearray]
    | tuple[int, int, None, int]
)


class AddressGuard(httpcore.AsyncNetworkBackend):
    """Connects to the upstream's own host and port, and elsewhere only where it may.

    `home` is where the upstream was first found; None before that. It never widens: an
    upstream that is found elsewhere later leads to global addresses only from then on.
    """

    def __init__(self, upstream: str, own_host: str, own_port: int) -> None:
        self._upstream = upstream
        self._own = (own_host, own_port)
        self._backend = httpcore.TrioBackend()
        self.home: Locality | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect, or raise UpstreamBroken if the host is at a refused address."""
        own = (host, port) == self._own
        if not own:
            for address in await _resolve(host, port, timeout):
                self._check(host, address)
        stream = await self._backend.connect_tcp(
            host, port, timeout, local_address, socket_options
        )
        try:
            address = stream.get_extra_info("server_addr")[0]
            if own:
                self._settle(locality(address))
            else:
                self._check(host, address)
        except BaseException:
            with trio.move_on_after(1, shield=True):
                await stream.aclose()
            raise
        return LargeReads(stream)

    def _settle(self, found: Locality) -> None:
        """Note where the upstream is, which its own resolver may change at will."""
        if self.home is None:
            self.home = found
        elif found is not self.home:
            self.home = Locality.GLOBAL

    def _check(self, host: str, address: str) -> None:
        if not address_allowed(address, self.home):
            raise UpstreamBroken(
                self._upstream,
                f"sent us to {host}, which is a {locality(address).value} address; "
                "refused, as the upstream itself is not there",
            )


async def _resolve(host: str, port: int, seconds: float | None) -> list[str]:
    try:
        with trio.fail_after(float("inf") if seconds is None else seconds):
            found = await trio.socket.getaddrinfo(
                host, port, type=trio.socket.SOCK_STREAM
            )
    except trio.TooSlowError as slow:
        raise httpcore.ConnectTimeout from slow
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(str(error)) from error
    return [str(address[0]) for *_, address in found]


class LargeReads(httpcore.AsyncNetworkStream):
    """Takes more from the socket at once than the 64 KiB that httpcore asks for.

    Each piece of a body costs some 100 µs, whatever its size. (Through TLS the pieces
    are records, of 16 KiB at most.)
    """

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  httpcore's
        return await self._stream.read(max(max_bytes, READ), timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        return await self._stream.start_tls(ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


@contextmanager
def transport_errors(upstream: str, doing: str) -> Iterator[None]:
    """Turn httpx's errors into UpstreamUnreachable, or UpstreamBroken for nonsense."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise UpstreamUnreachable(upstream, f"timed out while {doing}") from error
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError) as e:
        raise UpstreamBroken(upstream, f"cannot be asked that while {doing}") from e
    except httpx.RemoteProtocolError:
        # Not its text, nor its cause's: they quote the header that was wrong.
        raise UpstreamUnreachable(
            upstream,
            f"broke off, or spoke no HTTP, while {doing}",
            transient=True,
        ) from None
    except httpx.HTTPError as error:
        if (untrusted := _certificate_error(error)) is not None:
            raise UpstreamUnreachable(
                upstream, f"certificate not trusted: {untrusted.verify_message}"
            ) from error
        # "[Errno -2] Name or service not known": the number is for programs.
        text = re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
        what = (
            "cannot be reached"
            if isinstance(error, httpx.ConnectError)
            else f"failed while {doing}"
        )
        raise UpstreamUnreachable(
            upstream, f"{what}: {text}", transient=True
        ) from error


def _certificate_error(
    error: BaseException | None,
) -> ssl.SSLCertVerificationError | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error
        error = error.__cause__ or error.__context__
    return None
