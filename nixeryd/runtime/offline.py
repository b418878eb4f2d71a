"""Whether there is a network to use: one object, asked by all who would use it.

The user says so (`offline = true`, or at run time), or the machine has no way to
anywhere: the kernel is asked for a route, and nothing is sent. A route says
nothing about what is at its end (captive portals), so a network that is there is
still only tried. What is on this machine itself is reachable without one.
"""

import errno
import os
import socket
from collections.abc import Callable, Mapping

# Addresses for documentation, RFC 5737 and RFC 3849: nobody's, and routed like any.
_ANYWHERE = (
    (socket.AF_INET, ("192.0.2.1", 9)),
    (socket.AF_INET6, ("2001:db8::1", 9)),
)
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.ENETDOWN)


def has_network(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether this machine has a way to other networks: some 20 µs, no packet.

    With a proxy set it always has: the proxy may be all that there is a route to.
    """
    if any(environ.get(name) or environ.get(name.upper()) for name in _PROXIES):
        return True
    return any(_has_route(family, address) for family, address in _ANYWHERE)


def _has_route(family: socket.AddressFamily, address: tuple[str, int]) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)  # of a datagram socket: only finds the route
    except OSError as error:
        # Of what it can't tell it says nothing: then the network is tried.
        return error.errno not in (*_NO_WAY, errno.EAFNOSUPPORT)
    return True


class Offline:
    """`told` is the user's word and may be set at any time; `on` is what counts."""

    def __init__(
        self, *, told: bool = False, has_network: Callable[[], bool] = has_network
    ) -> None:
        self.told = told
        self._has_network = has_network

    @property
    def on(self) -> bool:
        """Whether to do without a network, for whatever reason."""
        return self.told or not self._has_network()

    @property
    def why(self) -> str:
        """Say the reason, "" if there is none."""
        if self.told:
            return "told to be offline"
        return "" if self._has_network() else "this machine has no network"
