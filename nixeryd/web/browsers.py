"""What tells that a browser sent a request.

Pure. The signs are headers that browsers add and that no page can take away, so that
a page cannot pose as an engine. No engine or registry client sends any of them:
Docker, containerd, BuildKit, podman, skopeo, CRI-O, crane, ORAS, regclient and curl
name themselves in User-Agent, and Go's HTTP client adds no more than a Referer, of the
same registry, when it follows a redirect. Two tools look like browsers: PowerShell's
Invoke-WebRequest (`User-Agent: Mozilla/5.0 …`) and fetch of Node (`Sec-Fetch-Mode`).

https://www.w3.org/TR/fetch-metadata/, https://fetch.spec.whatwg.org/#sec-purpose-header
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias
from urllib.parse import urlsplit

Fields: TypeAlias = Mapping[str, Sequence[str]]

_AHEAD = frozenset({"sec-purpose", "purpose", "x-purpose", "x-moz"})
_FOREIGN = frozenset({"cross-site", "same-site"})  # same-site: another port here


def by_name(headers: Iterable[tuple[str, str]]) -> Fields:
    """Group header fields by their names, which are in lower case."""
    fields: dict[str, list[str]] = {}
    for name, text in headers:
        fields.setdefault(name, []).append(text.strip())
    return {**fields}


def is_fetched_ahead(fields: Fields) -> bool:
    """Return whether a browser loads this before anybody asked for it."""
    return not _AHEAD.isdisjoint(fields)


def is_from_browser(fields: Fields, host: str) -> bool:
    """Return whether anything says that a browser sent this."""
    return (
        is_fetched_ahead(fields)
        or "origin" in fields
        # Beyond Sec-Fetch-*: Sec-CH-*, Sec-GPC, Sec-WebSocket-*. No script can set one.
        or any(name.startswith("sec-") for name in fields)
        or any(text.startswith("Mozilla/") for text in fields.get("user-agent", ()))
        # Scripts may change User-Agent in Firefox, but never take this away.
        or "accept-language" in fields
        or has_foreign_referer(fields, host)
    )


def has_foreign_referer(fields: Fields, host: str) -> bool:
    """Return whether a page of another origin led here."""
    return any(_origin(text) != _own(host) for text in fields.get("referer", ()))


def has_foreign_origin(fields: Fields, host: str) -> bool:
    """Return whether an Origin is there that is not this host's."""
    return any(origin != _own(host) for origin in fields.get("origin", ()))


def is_foreign(fields: Fields) -> bool:
    """Return whether the browser says that a page of another origin asks."""
    return not _FOREIGN.isdisjoint(fields.get("sec-fetch-site", ()))


def is_silent(fields: Fields) -> bool:
    """Return whether it is a browser that does not say who asks.

    Safari before 16.4 and older browsers.
    """
    agents = fields.get("user-agent", ())
    return "sec-fetch-site" not in fields and any(
        text.startswith("Mozilla/") for text in agents
    )


def is_link(fields: Fields) -> bool:
    """Return whether somebody follows a link, in a tab and not in a frame."""
    return fields.get("sec-fetch-mode") == ["navigate"] and fields.get(
        "sec-fetch-dest", ["document"]
    ) == ["document"]


def _own(host: str) -> str:
    return f"http://{host}"


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}"
