"""Which proxy a request goes through, if any.

Law: what `HTTPS_PROXY` and its kin mean is what curl and Go take them to mean, so that
a value which works for Docker or git works here. A proxy's password is in no repr and
in no message.

https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
https://everything.curl.dev/usingcurl/proxies/env.html
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

DIRECT = "none"  # as the setting: no proxy, whatever the environment says
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_SCHEME = re.compile(r"[a-z0-9+.-]+://", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]+")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and the login that it wants; `scheme` is http, https or socks5."""

    scheme: str
    host: str
    port: int
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_proxy(text: str) -> Proxy:
    """Read `http://user:password@proxy.corp:3128`; without a scheme it is http.

    Raises:
        ValueError: it is no such URL. The message does not quote it.

    """
    url = text if _SCHEME.match(text) else f"http://{text}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("its port is no number") from None
    if parts.scheme not in _PORTS:
        known = ", ".join(scheme for scheme in _PORTS if scheme != "socks5h")
        raise ValueError(f"{parts.scheme}:// is none of {known}")
    host = parts.hostname or ""
    if not _HOST.fullmatch(host) or port == 0:
        raise ValueError("write it as http://HOST:PORT")
    return Proxy(
        parts.scheme.removesuffix("h"),
        host,
        port or _PORTS[parts.scheme],
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )


@dataclass(frozen=True, slots=True)
class Exceptions:
    """Hosts that are asked without a proxy: what `NO_PROXY` lists.

    An entry is a name (it and all below it), `.name` or `*.name` (only what is below),
    an address, a CIDR block, or `*` for everything; a name or an address may have a
    port. This machine itself is never asked through a proxy.
    """

    entries: tuple[str, ...] = ()

    def include(self, host: str, port: int) -> bool:
        """Return whether `host` (a name or an address) is asked directly."""
        name = host.lower().rstrip(".").strip("[]")
        address = _address(name)
        if name == "localhost" or name.endswith(".localhost"):
            return True
        if address is not None and address.is_loopback:
            return True
        return any(_covers(entry, name, address, port) for entry in self.entries)


def parse_exceptions(texts: Iterable[str]) -> Exceptions:
    """Read lists as `NO_PROXY` holds them, divided by commas or blanks.

    An entry that is nothing known is kept, and covers nothing: so do curl and Go.
    """
    found = (part for text in texts for part in re.split(r"[,\s]+", text.lower()))
    return Exceptions(tuple(filter(None, found)))


def _covers(entry: str, name: str, address: _Address | None, port: int) -> bool:
    if entry == "*" or "/" in entry:
        return entry == "*" or _in_block(address, entry)
    pattern, wanted = _divide(entry)
    if wanted not in ("", str(port)):
        return False
    if address is not None:
        return address == _address(pattern)
    pattern = pattern.removeprefix("*").rstrip(".")
    if pattern.startswith("."):
        return name.endswith(pattern) and pattern != "."
    return bool(pattern) and (name == pattern or name.endswith(f".{pattern}"))


def _in_block(address: _Address | None, block: str) -> bool:
    if address is None:
        return False
    try:
        return address in ipaddress.ip_network(block, strict=False)
    except ValueError:
        return False


def _divide(entry: str) -> tuple[str, str]:
    """Tell a port from what stands before it; an IPv6 address has more colons."""
    bracketed = re.fullmatch(r"\[([0-9a-f:.]+)\](?::([0-9]+))?", entry)
    if bracketed is not None:
        return bracketed[1], bracketed[2] or ""
    if entry.count(":") == 1:
        pattern, _, port = entry.partition(":")
        return pattern, port
    return entry, ""


def _address(text: str) -> _Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies for http and https URLs, and who is asked without them."""

    http: Proxy | None = None
    https: Proxy | None = None
    exceptions: Exceptions = Exceptions()

    def choose(self, scheme: str, host: str, port: int) -> Proxy | None:
        """Return the proxy to ask `host` through; None: it is asked directly."""
        proxy = self.https if scheme == "https" else self.http
        if proxy is None or self.exceptions.include(host, port):
            return None
        return proxy


def choose_proxies(
    environ: Mapping[str, str], proxy: str = "", no_proxy: Iterable[str] = ()
) -> Proxies:
    """Put the proxies together: the settings, and what they leave to the environment.

    Raises:
        ValueError: a proxy that cannot be read; the message names the variable.

    """
    entries = tuple(no_proxy) or (_variable(environ, "no_proxy")[1],)
    exceptions = parse_exceptions(entries)
    if proxy == DIRECT:
        return Proxies(exceptions=exceptions)
    if proxy:
        found = parse_proxy(proxy)
        return Proxies(found, found, exceptions)
    return Proxies(
        _from_environment(environ, "http_proxy"),
        _from_environment(environ, "https_proxy"),
        exceptions,
    )


def as_environment(proxy: str, no_proxy: Iterable[str]) -> dict[str, str]:
    """Say the settings in variables, for git, Nix and whatever they start.

    Both spellings: curl reads `http_proxy` in lower case only, Go prefers the other.
    """
    said: dict[str, str] = {}
    if proxy:
        value = "" if proxy == DIRECT else proxy
        said |= dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), value)
    if entries := ",".join(no_proxy):
        said["no_proxy"] = entries
    return said | {name.upper(): value for name, value in said.items()}


def _from_environment(environ: Mapping[str, str], wanted: str) -> Proxy | None:
    variable, text = _variable(environ, wanted)
    if not text:
        variable, text = _variable(environ, "all_proxy")
    if not text:
        return None
    try:
        return parse_proxy(text)
    except ValueError as error:
        raise ValueError(f"{variable}: {error}") from None


def _variable(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """Look a variable up, in lower case first, as curl does."""
    for spelling in (name, name.upper()):
        if text := environ.get(spelling, "").strip():
            return spelling, text
    return name, ""
