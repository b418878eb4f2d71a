"""What is handed to a client: a manifest's bytes, a blob's place, who asked how.

Plain values between whoever makes the answers and the web layer that sends
them. A blob that is still on its way is no value; see `nixeryd.web.ports`.
"""

from dataclasses import dataclass
from typing import Protocol

from nixeryd.images.digests import Digest


@dataclass(frozen=True, slots=True)
class Origin:
    """How a request came in, as far as it decides where the answer comes from.

    `ns` is the registry that the client means, as it says itself (the spec's
    "Registry Proxying"); `mirror` is true on the mirror listener. `via` names the
    proxies that it came through (RFC 9110, 7.6.3).
    """

    ns: str | None = None
    mirror: bool = False
    via: str = ""


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds an asker waits for a manifest.

    `ticket` is what `StillBuilding` gave them when they asked before; `asker` says
    who it is, for people who watch.
    """

    seconds: float = float("inf")
    ticket: str | None = None
    asker: str = ""

    @property
    def is_endless(self) -> bool:
        """Whether the asker cannot be told to come back."""
        return self.seconds == float("inf")


class StillBuilding(Exception):  # noqa: N818  no error: come back with the ticket
    """The manifest is not there yet; its build goes on."""

    def __init__(self, ticket: str) -> None:
        super().__init__(ticket)
        self.ticket = ticket


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest, byte for byte as its digest says.

    Of a mirrored tag: `age` is the number of seconds since the upstream was last
    heard, and `warning` tells the user why it was not asked again.
    """

    body: bytes
    digest: Digest
    media_type: str
    age: int | None = None
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class TagList:
    """All tags of a repository; `warning` tells the user why they may not be all."""

    names: tuple[str, ...]
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class BlobHead:
    """A blob that is somewhere, and can be had; `size` in bytes."""

    size: int
    digest: Digest


class FilePath(Protocol):
    """A `pathlib.Path`, without importing it here."""

    def __fspath__(self) -> str: ...


@dataclass(frozen=True, slots=True)
class BlobFile:
    """A whole blob in a file. `size` in bytes is what the file must have."""

    path: FilePath
    size: int
    digest: Digest
