"""Host names: which are this daemon's, and what each may be used for.

The law: a page in a browser is trusted by the name it was loaded from, so only
names that no resolver answers may carry pages, the API and buttons: `localhost`
and loopback addresses. All other names of ours, such as `host.docker.internal`, are
answered by whatever DNS server the network has, and a hostile one can bind a page
of its own to us under them: they lead to the registry, for engines, and nowhere else.

With `allow_remote` any IP address is a good name for engines: rebinding needs a name,
and which address of ours others use (NAT, a VM's gateway) can't be known.

https://www.rfc-editor.org/rfc/rfc9112#section-3.2
"""

import enum
import ipaddress
import re
from dataclasses import dataclass, field
from functools import lru_cache

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(
    rf"(?:\[(?P<v6>[0-9A-Fa-f:.]{{2,45}})\]|(?P<name>{_LABEL}(?:\.{_LABEL})*)\.?)"
    r"(?::\d{1,5})?",
    re.ASCII,
)
# The names under which containers and VMs know their host.
_ENGINES_NAMES = frozenset(
    {"host.containers.internal", "host.docker.internal", "host.lima.internal"}
)


class Reach(enum.Enum):
    """What a name leads to."""

    EVERYTHING = "everything"
    REGISTRY = "the registry"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Policy:
    """Which names are ours besides the built-in ones."""

    hosts: frozenset[str] = field(default_factory=frozenset)
    allow_remote: bool = False

    def reach(self, host: str) -> Reach:
        """Return what a Host header leads to."""
        return _reach(self, host)


@lru_cache(maxsize=100)  # every request has the same few
def _reach(policy: Policy, host: str) -> Reach:
    match = _HOST.fullmatch(host)
    if match is None:
        return Reach.NOTHING
    name = (match["v6"] or match["name"]).lower()
    try:
        ip = ipaddress.ip_address(name)
    except ValueError:
        if name == "localhost":
            return Reach.EVERYTHING
        # RFC 6761 wants *.localhost on this machine, but resolvers may differ.
        is_ours = (
            name in _ENGINES_NAMES
            or name.endswith(".localhost")
            or name in {one.lower() for one in policy.hosts}
        )
    else:
        if ip.is_loopback:
            return Reach.EVERYTHING
        is_ours = policy.allow_remote
    return Reach.REGISTRY if is_ours else Reach.NOTHING
