"""Who may ask: this machine's clients, and no web page of anybody else's.

A page in the user's browser can send requests to localhost, and with DNS
rebinding read the answers; asking for a manifest starts a Nix build. So a Host
must be one of our names, and what a browser sends for a foreign page is refused.
Registry clients send neither Origin nor Sec-Fetch-*. The daemon's own page may
read, and presses its buttons with a header that no form and no other origin can
send (`X-Nixeryd: page`); whether they do anything is for `rights` to say.

`refuse` decides and is pure; `Guard` asks it before any framework sees the
request, so that nothing has parsed it yet. With `allow_remote` any IP address
is a good Host: rebinding needs a name, and which address of ours others use
(NAT, a VM's gateway) can't be known.

https://www.w3.org/TR/fetch-metadata/ and
https://www.rfc-editor.org/rfc/rfc9112#section-3.2
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.web.asgi import App, Receive, Scope, Send
from nixeryd.web.errors import render_error

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(
    rf"(?:\[(?P<v6>[0-9A-Fa-f:.]{{2,45}})\]|(?P<name>{_LABEL}(?:\.{_LABEL})*)\.?)"
    r"(?::\d{1,5})?",
    re.ASCII,
)
# The names under which containers and VMs know their host.
_OWN_NAMES = frozenset(
    {
        "localhost",
        "host.containers.internal",
        "host.docker.internal",
        "host.lima.internal",
    }
)
_FOREIGN = {"cross-site", "same-site"}  # same-site: another port of localhost
_SAFE = {"GET", "HEAD"}
PAGE = ("x-nixeryd", "page")


@dataclass(frozen=True, slots=True)
class Policy:
    """Which hosts are ours besides the built-in ones."""

    hosts: frozenset[str] = field(default_factory=frozenset)
    allow_remote: bool = False

    def is_own(self, host: str) -> bool:
        """Tell whether a Host header (or an Origin's host) names this daemon."""
        return _is_own(self, host)


@lru_cache(maxsize=100)  # every request has the same few
def _is_own(policy: Policy, host: str) -> bool:
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = (match["v6"] or match["name"]).lower()
    try:
        ip = ipaddress.ip_address(name)
    except ValueError:
        # RFC 6761 keeps *.localhost on this machine.
        return (
            name in _OWN_NAMES
            or name in {host.lower() for host in policy.hosts}
            or name.endswith(".localhost")
        )
    return ip.is_loopback or policy.allow_remote


def refuse(
    method: str, path: str, headers: Iterable[tuple[str, str]], policy: Policy
) -> str | None:
    """Give the reason to refuse a request, or None. Header names in lower case."""
    headers = tuple(headers)
    fields = _by_name(headers)
    hosts = fields.get("host", [])
    if len(hosts) != 1 or not policy.is_own(hosts[0]):
        asked = ", ".join(hosts)[:80] or "none"
        return (
            f"this daemon does not answer for the host {asked}: ask for localhost,"
            " or add the name to hosts in config.toml"
        )
    if not path.startswith("/"):
        return "this is no proxy: the request must name a path"
    origins = fields.get("origin", [])
    foreign = any(site in _FOREIGN for site in fields.get("sec-fetch-site", []))
    is_registry = path == "/v2" or path.startswith("/v2/")
    if is_registry or method not in _SAFE:
        is_button = not is_registry and is_own_page(method, headers)
        is_page = not is_button and (origins or foreign)
        return "web pages may not ask this of the daemon" if is_page else None
    # The daemon's own page may read. Following a link to a page is fine as well: the
    # other site gets nothing to see. Not to the API, where a search is work for Nix.
    own_page = all(origin == f"http://{hosts[0]}" for origin in origins)
    if not own_page or (foreign and not _is_link(path, fields)):
        return "pages of other sites may not read this"
    return None


def _is_link(path: str, fields: Mapping[str, Sequence[str]]) -> bool:
    """Tell whether somebody follows a link to a page, in a tab and not in a frame."""
    return (
        not path.startswith("/api/")
        and fields.get("sec-fetch-mode") == ["navigate"]
        and fields.get("sec-fetch-dest", ["document"]) == ["document"]
    )


def is_own_page(method: str, headers: Iterable[tuple[str, str]]) -> bool:
    """Tell whether this is a button of our own page, pressed.

    Browsers send an Origin with every POST. The Host is one of ours: `refuse`.
    """
    fields = _by_name(headers)
    hosts = fields.get("host", [])
    name, text = PAGE
    return (
        method == "POST"
        and fields.get("origin") == [f"http://{host}" for host in hosts]
        and fields.get(name) == [text]
        and fields.get("sec-fetch-site", ["same-origin"]) == ["same-origin"]
    )


def is_this_machine(client: str) -> bool:
    """Tell whether a client's IP address is of this machine itself."""
    try:
        return ipaddress.ip_address(client.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _by_name(headers: Iterable[tuple[str, str]]) -> dict[str, Sequence[str]]:
    fields: dict[str, list[str]] = {}
    for name, text in headers:
        fields.setdefault(name, []).append(text.strip())
    return {**fields}


class Guard:
    """An ASGI app that lets requests through to another, or answers 403."""

    def __init__(self, app: App, policy: Policy) -> None:
        self._app = app
        self.policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(f"no {scope['type']} here")
        reason = refuse(
            scope["method"],
            scope["raw_path"].decode("latin1"),
            [
                (name.decode("latin1").lower(), text.decode("latin1"))
                for name, text in scope["headers"]
            ],
            self.policy,
        )
        if reason is None:
            await self._app(scope, receive, send)
            return
        status, body = render_error(RegistryError(ErrorCode.DENIED, reason))
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
