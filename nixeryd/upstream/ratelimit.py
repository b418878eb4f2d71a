"""What an upstream last said about our pull quota.

Docker Hub sends these headers with every manifest answer, HEAD included, and a HEAD
does not count: looking is free.

https://docs.docker.com/docker-hub/usage/pulls/
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

# ratelimit-remaining: 76;w=21600
_QUOTA = re.compile(r"(\d{1,12})(?:\s*;\s*w=(\d{1,12}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many pulls remain of `limit` per `window` seconds.

    `source` is whom the upstream counts: an address or an account's id. `seen` is
    when it said so, in seconds since the epoch.
    """

    limit: int | None
    remaining: int | None
    window: int | None
    source: str | None
    seen: float


def parse_rate_limit(headers: Mapping[str, str], now: float) -> RateLimit | None:
    """Read the `ratelimit-*` headers; None if there are none. Keys in lower case."""
    limit, window = _quota(headers.get("ratelimit-limit"))
    remaining, other_window = _quota(headers.get("ratelimit-remaining"))
    if limit is None and remaining is None:
        return None
    source = headers.get("docker-ratelimit-source")
    return RateLimit(limit, remaining, window or other_window, source, now)


def _quota(value: str | None) -> tuple[int | None, int | None]:
    found = _QUOTA.match(value or "")
    if found is None:
        return None, None
    return int(found[1]), int(found[2]) if found[2] else None
