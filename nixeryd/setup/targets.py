"""Where an engine finds nixeryd, and which registries it mirrors. Pure.

Engines are given `127.0.0.1` and never `localhost`: that name may mean ::1,
where the daemon does not listen, and every engine takes plain HTTP from
127.0.0.0/8. An engine in a virtual machine has a localhost of its own and
reaches us by the name its maker gives to the host.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from nixeryd.setup.errors import SetupError

# The registries that people pull from, and who answers for each.
UPSTREAMS: Mapping[str, str] = {
    "docker.io": "https://registry-1.docker.io",
    "ghcr.io": "https://ghcr.io",
    "quay.io": "https://quay.io",
    "gcr.io": "https://gcr.io",
    "registry.k8s.io": "https://registry.k8s.io",
    "mcr.microsoft.com": "https://mcr.microsoft.com",
    "public.ecr.aws": "https://public.ecr.aws",
}
_LAST_PORT = 65535
_PORT = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Targets:
    """Two addresses `host:port`, and {registry's name: its own URL}."""

    registry: str = "127.0.0.1:5000"
    mirror: str = "127.0.0.1:5001"
    upstreams: Mapping[str, str] = field(default_factory=lambda: dict(UPSTREAMS))

    def seen_from_vm(self, host: str) -> "Targets":
        """Return the addresses as an engine in a virtual machine must say them."""
        return Targets(
            f"{host}:{_port(self.registry)}",
            f"{host}:{_port(self.mirror)}",
            self.upstreams,
        )


def parse_address(text: str) -> str:
    """Check a listener's address and give it as a client says it.

    An address that means "every interface" is said as 127.0.0.1.
    Raises `SetupError`.
    """
    host, colon, port = text.rpartition(":")
    in_range = bool(_PORT.fullmatch(port)) and 0 < int(port) <= _LAST_PORT
    plain = host.startswith("[") == host.endswith("]") and not set(host) & set(
        "/@ \t\"'\\\n"
    )
    if not colon or not in_range or not host or not plain:
        raise SetupError(f"{text!r} is no address; write host:port, as 127.0.0.1:5000")
    if host.count(":") and not host.startswith("["):
        raise SetupError(f"{text!r}: write an IPv6 address as [::1]:5000")
    everywhere = {"0.0.0.0": "127.0.0.1", "[::]": "127.0.0.1"}  # noqa: S104  read, not bound
    return f"{everywhere.get(host, host)}:{port}"


def _port(address: str) -> str:
    return address.rpartition(":")[2]
