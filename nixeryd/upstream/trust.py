"""Whom an upstream may send us to: token realms, redirects, network addresses.

Law: a password leaves only for a host whose owner could have taken it anyway, and
an upstream out there never makes this machine talk to something in here.

There is no public-suffix list. Three cases are safe without one: the same host; a
host below the upstream's (its owner made it); a host above the upstream's (whoever
owns the parent zone can redirect the child and get a certificate for it). Siblings
(`registry.example.org`, `auth.example.org`) look just like `evil.co.uk` and
`good.co.uk`, so they are known by name or not at all. CVE-2026-33540 is the story of
a registry that believed every realm.
"""

import ipaddress
import re
from collections.abc import Collection, Mapping
from enum import Enum
from urllib.parse import SplitResult, urlsplit

# Registries whose token service lives beside them: host of the registry, of the realm.
KNOWN_REALMS: Mapping[str, Collection[str]] = {
    "registry-1.docker.io": ("auth.docker.io",),
    "index.docker.io": ("auth.docker.io",),
    "docker.elastic.co": ("docker-auth.elastic.co",),
}

_PORTS = {"http": 80, "https": 443}
# Stricter than RFC 3986, so that no two parsers can read two hosts in one URL:
# printable ASCII without a backslash, no user name, a plain host.
_URL = re.compile(r"https?://[0-9A-Za-z._:\[\]-]+(?:[/?#][!-\[\]-~]*)?")
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]+")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Locality(Enum):
    """How near to this machine an address is."""

    LOOPBACK = "loopback"
    LINK_LOCAL = "link-local"
    PRIVATE = "private"
    GLOBAL = "global"

    def is_reachable_from(self, home: "Locality | None") -> bool:
        """Return whether an upstream at `home` may send us here."""
        return self is Locality.GLOBAL or self is home


def locality(address: str) -> Locality:
    """Tell how near an IP address is; ValueError if it is none.

    An IPv6 address that carries an IPv4 one is as near as what it carries. What is
    not globally reachable and nothing better known (shared, reserved) is private.
    """
    ip = _unwrap(ipaddress.ip_address(address))
    # connecting to the unspecified address reaches this machine
    if ip.is_loopback or ip.is_unspecified:
        return Locality.LOOPBACK
    if ip.is_link_local:
        return Locality.LINK_LOCAL
    if ip.is_multicast or not ip.is_global:
        return Locality.PRIVATE
    return Locality.GLOBAL


def address_allowed(address: str, home: Locality | None) -> bool:
    """Return whether an upstream at `home` may send us to this address.

    Global addresses always; others only where the upstream itself is.
    """
    return locality(address).is_reachable_from(home)


def name_locality(host: str) -> Locality:
    """Tell how near a host is as far as its name says, which nobody resolves here.

    A name that only a local network knows is private.
    """
    name = host.lower().rstrip(".").strip("[]")
    try:
        return locality(name)
    except ValueError:
        if name == "localhost" or name.endswith(".localhost"):
            return Locality.LOOPBACK
        is_inside = "." not in name or name.endswith((".local", ".internal"))
        return Locality.PRIVATE if is_inside else Locality.GLOBAL


def realm_allowed(
    realm: str,
    upstream: str,
    known: Mapping[str, Collection[str]] = KNOWN_REALMS,
) -> bool:
    """Return whether credentials for the registry `upstream` may go to `realm` (URLs).

    Never in the clear, unless the upstream itself is configured so.
    """
    there, here = _split(realm), _split(upstream)
    if there is None or here is None:
        return False
    if there.scheme != "https" and here.scheme == "https":
        return False
    realm_host, own_host = there.hostname or "", here.hostname or ""
    if realm_host == own_host:
        return True
    if _is_bare(realm_host) or _is_bare(own_host):
        return False
    return (
        realm_host.endswith("." + own_host)
        or own_host.endswith("." + realm_host)
        or realm_host in known.get(own_host, ())
    )


def redirect_allowed(source: str, target: str) -> bool:
    """Return whether a redirect may go from the URL `source` to the URL `target`.

    HTTP and HTTPS only, never from HTTPS back to HTTP, never with a user name in
    it. Where the name leads is a question of addresses, asked on connecting.
    """
    here, there = _split(source), _split(target)
    if here is None or there is None:
        return False
    return not (here.scheme == "https" and there.scheme == "http")


def is_near(url: str) -> bool:
    """Return whether a URL leads to this machine or its neighbours, as far as it says.

    An address that is not global, or a name that only a local network knows.
    """
    parts = _split(url)
    host = "" if parts is None else (parts.hostname or "")
    return name_locality(host) is not Locality.GLOBAL


def same_origin(one: str, other: str) -> bool:
    """Return whether both URLs have the same scheme, host and port (RFC 6454)."""
    first, second = _split(one), _split(other)
    return (
        first is not None and second is not None and _origin(first) == _origin(second)
    )


def _origin(url: SplitResult) -> tuple[str, str | None, int]:
    return url.scheme, url.hostname, url.port or _PORTS[url.scheme]


def _split(url: str) -> SplitResult | None:
    """Read an http(s) URL; None if it is malformed or has a user name in it."""
    if _URL.fullmatch(url) is None:
        return None
    try:
        parts = urlsplit(url)
        readable = parts.scheme in _PORTS and parts.port != 0
    except ValueError:
        return None
    return parts if readable and _HOST.fullmatch(parts.hostname or "") else None


def _is_bare(host: str) -> bool:
    """Tell an address, or a name without a dot: nothing has a part to be owned."""
    return "." not in host or ":" in host or host.rpartition(".")[2].isdigit()


def _unwrap(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
