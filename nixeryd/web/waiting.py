"""How a client is kept while its image is built, however long that takes.

containerd since 2.3 and Docker since 29.7 give up 30 s after a request without
headers, and count each hop of a redirect by itself; Go follows ten hops. So a
request is held for 25 s, then sent to itself by 307, nine times. After the last
hop HEAD answers 200 without a digest, at which a client asks again by GET; and
GET sends its headers at once and its body when the image is there. Eleven
clients were seen to wait so for ten minutes; 408, 429 and 503 were not enough.

A client that leaves stops nothing: the build is found again by the ticket in the
query, or by whoever asks next.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import parse_qsl, urlencode

from nixeryd.images.served_manifests import Manifest, Patience

HOLD: Final = 25.0  # seconds
HOPS: Final = 9

_HOP: Final = "nixeryd-hop"
_TICKET: Final = "nixeryd-ticket"


@dataclass(frozen=True, slots=True)
class RedirectHop:
    """Which hop of its circle a request is on, and with what ticket."""

    hop: int = 0
    ticket: str | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """Read it from the query; what is odd there counts as a first request."""
        hop = query.get(_HOP, "")
        if not (hop.isascii() and hop.isdigit() and len(hop) == 1):
            return cls()
        return cls(int(hop), query.get(_TICKET))

    @property
    def is_last(self) -> bool:
        """Whether no other hop would be followed."""
        return self.hop >= HOPS

    def patience(self, hold: float, asker: str) -> Patience:
        """Say how long this hop may take."""
        return Patience(hold, self.ticket, asker)

    def next_location(self, path: str, query: str, ticket: str) -> str:
        """Return where to go next: the same place, and the rest of the query."""
        ours = {_HOP: str(self.hop + 1), _TICKET: ticket}
        return f"{path}?{urlencode({**dict(parse_qsl(query)), **ours})}"


class LateBody:
    """A manifest that is sent when it is there; its headers are long gone.

    What fails now can only cut the connection, which no client takes for whole.
    """

    def __init__(self, get: Callable[[], Awaitable[Manifest]]) -> None:
        self._get = get
        self._is_sent = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._is_sent:
            raise StopAsyncIteration
        self._is_sent = True
        return (await self._get()).body
