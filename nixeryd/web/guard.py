"""Who may ask: this machine's clients, and no web page of anybody else's.

A page in the user's browser can send requests to localhost, and with DNS
rebinding read the answers; asking for a manifest starts a Nix build. So three laws:

- /v2 is for engines. What says that a browser sent it is refused there, whoever asks.
- The page, the API and the buttons are under `localhost` and loopback addresses only;
  names that a resolver can answer lead to /v2, and to /healthz and /metrics for
  programs that watch us (`hosts`).
- The page may read, and presses its buttons with a header that no form and no other
  origin can send (`X-Nixeryd: page`); whether they do anything is for `rights` to say.

`refuse` decides and is pure; `Guard` asks it before any framework sees the request. A
path is read once, here: beyond /v2, one that could be written more simply is 404.

https://www.w3.org/TR/fetch-metadata/
"""

import ipaddress
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.web.asgi import App, Receive, Scope, Send
from nixeryd.web.browsers import (
    Fields,
    by_name,
    has_foreign_origin,
    has_foreign_referer,
    is_fetched_ahead,
    is_foreign,
    is_from_browser,
    is_link,
    is_silent,
)
from nixeryd.web.errors import render_error
from nixeryd.web.hosts import Policy, Reach

_log = logging.getLogger(__name__)

_SAFE = {"GET", "HEAD"}
_WATCHED = {"/healthz", "/metrics"}
_ODD = re.compile(r"//|/\.\.?(?:/|$)")
PAGE = ("x-nixeryd", "page")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused. `kind`: what is logged once."""

    kind: str
    reason: str
    code: ErrorCode = ErrorCode.DENIED


def refuse(
    method: str, path: str, headers: Iterable[tuple[str, str]], policy: Policy
) -> Refusal | None:
    """Return why to refuse a request, or None. Header names are in lower case.

    `path` is as it was sent, without the query.
    """
    fields = by_name(headers)
    hosts = fields.get("host", [])
    reach = policy.reach(hosts[0]) if len(hosts) == 1 else Reach.NOTHING
    if reach is Reach.NOTHING:
        asked = ", ".join(hosts)[:80] or "none"
        return Refusal(
            "a host that is not ours",
            f"this daemon does not answer for the host {asked}: ask for localhost,"
            " or add the name to hosts in config.toml",
        )
    if not path.startswith("/"):
        reason = "this is no proxy: the request must name a path"
        return Refusal("a proxy request", reason)
    seen = unquote(path)
    if _is_registry(path) or _is_registry(_simplest(seen)):
        return _refuse_registry(path, fields, hosts[0])
    if reach is Reach.EVERYTHING:
        return _refuse_page(method, seen, fields, hosts[0])
    if method in _SAFE and seen in _WATCHED and not is_from_browser(fields, hosts[0]):
        return None
    return Refusal(
        "the page or the API by a name that a resolver answers",
        "only the registry (/v2) is served by this name: the page and the API are"
        " at http://localhost (the same port), on the machine itself",
    )


def _refuse_registry(path: str, fields: Fields, host: str) -> Refusal | None:
    if is_from_browser(fields, host):
        return Refusal(
            "a browser that asks for /v2",
            "/v2 is for container engines, and a browser sent this: open"
            " http://localhost (the same port) for the page, or use curl",
        )
    return None if _is_registry(path) else _odd(unquote(path))


def _is_registry(path: str) -> bool:
    return path == "/v2" or path.startswith("/v2/")


def _simplest(path: str) -> str:
    """Write a path without empty and dot segments."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append(segment)
    return "/" + "/".join(kept)


def _odd(path: str) -> Refusal:
    reason = f"there is no such path; the simplest way to write it: {_simplest(path)}"
    return Refusal("a path that is written oddly", reason[:300], ErrorCode.NAME_UNKNOWN)


def _refuse_page(method: str, path: str, fields: Fields, host: str) -> Refusal | None:
    """Refuse what our own page would not send; programs send no such headers."""
    if _ODD.search(path):
        return _odd(path)
    if is_fetched_ahead(fields):
        reason = "this is not loaded before somebody asks for it"
        return Refusal("a prefetch", reason)
    if method in _SAFE:
        return _refuse_reading(path, fields, host)
    is_page = "origin" in fields or is_foreign(fields)
    if not is_page or _is_button(method, fields, host):
        return None
    reason = "web pages may not ask this of the daemon"
    return Refusal("a page that presses a button", reason)


def _refuse_reading(path: str, fields: Fields, host: str) -> Refusal | None:
    """Refuse a foreign page, unless it only links to a page of ours.

    The other site gets nothing to see. A link to the API is refused: a search there is
    work for Nix.
    """
    is_api = path == "/api" or path.startswith("/api/")
    is_refused = has_foreign_origin(fields, host) or is_foreign(fields)
    if is_api:
        is_refused |= has_foreign_referer(fields, host)
        # Such a browser tells at least where our own page leads.
        is_refused |= is_silent(fields) and "referer" not in fields
    elif is_link(fields):
        is_refused = has_foreign_origin(fields, host)
    reason = "pages of other sites may not read this"
    return Refusal("a page that reads", reason) if is_refused else None


def is_own_page(method: str, headers: Iterable[tuple[str, str]]) -> bool:
    """Return whether this is a button of our own page, pressed.

    Browsers send an Origin with every POST. The Host is one of ours: `refuse`.
    """
    fields = by_name(headers)
    hosts = fields.get("host", [])
    return len(hosts) == 1 and _is_button(method, fields, hosts[0])


def _is_button(method: str, fields: Fields, host: str) -> bool:
    name, text = PAGE
    return (
        method == "POST"
        and fields.get("origin") == [f"http://{host}"]
        and fields.get(name) == [text]
        and fields.get("sec-fetch-site", ["same-origin"]) == ["same-origin"]
    )


def is_this_machine(client: str) -> bool:
    """Return whether a client's IP address is of this machine itself."""
    try:
        return ipaddress.ip_address(client.partition("%")[0]).is_loopback
    except ValueError:
        return False


class Guard:
    """An ASGI app that lets requests through to another, or answers 403 or 404."""

    def __init__(self, app: App, policy: Policy) -> None:
        self._app = app
        self.policy = policy
        self._told: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(f"no {scope['type']} here")
        refusal = refuse(
            scope["method"],
            scope["raw_path"].decode("latin1"),
            [
                (name.decode("latin1").lower(), text.decode("latin1"))
                for name, text in scope["headers"]
            ],
            self.policy,
        )
        if refusal is None:
            await self._app(scope, receive, send)
            return
        if refusal.kind not in self._told:  # once: a page can ask very often
            self._told.add(refusal.kind)
            _log.warning("refused: %s (told once)", refusal.kind)
        status, body = render_error(RegistryError(refusal.code, refusal.reason))
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", b"application/json"),
                    (b"content-length", str(len(body)).encode()),
                ],
            }
        )
        await send({"type": "http.response.body", "body": body, "more_body": False})
