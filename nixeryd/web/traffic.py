"""Requests as they are answered: how many, and a metric and a log line for each.

A daemon that ends when it is idle asks how many there are. A connection that is kept
open for later does not count; a response that is still being read does.
"""

import math
from typing import Final

import structlog
import trio

from nixeryd.runtime.metrics import REQUESTS
from nixeryd.web.asgi import App, Event, Receive, Scope, Send

_KINDS: Final = ("manifests", "blobs", "tags", "referrers")

log = structlog.get_logger()


class Traffic:
    """How many requests are being answered, and since when there is none.

    `quiet_since` is in seconds on trio's clock.
    """

    def __init__(self) -> None:
        self.running = 0
        self.quiet_since = -math.inf

    def count(self, app: App) -> App:
        """Wrap an app so that its requests are counted."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            self.running += 1
            try:
                await _observed(app, scope, receive, send)
            finally:
                self.running -= 1
                if not self.running:
                    self.quiet_since = trio.current_time()

        return counted


async def _observed(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request; count it, and log it at debug."""
    since = trio.current_time()
    status = sent = 0

    async def note(event: Event) -> None:
        nonlocal status, sent
        match event:
            case {"type": "http.response.start", "status": int(code)}:
                status = code
            case {"type": "http.response.body", "body": bytes(body)}:
                sent += len(body)
            case {"type": "http.response.zerocopysend", "count": int(count)}:
                sent += count
        await send(event)

    try:
        await app(scope, receive, note)
    finally:
        if scope["type"] == "http":
            kind = request_kind(scope["path"])
            # A client that left before there was an answer, as nginx logs it.
            REQUESTS.inc(kind, str(status or 499))
            log.debug(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status or 499,
                bytes=sent,
                seconds=round(trio.current_time() - since, 4),
                client=(scope["client"] or ("",))[0],
            )


def request_kind(path: str) -> str:
    """Return what kind of request a path is, for metrics: a few fixed words."""
    parts = path.split("/")
    match parts[1:2]:
        case ["v2"]:
            # The reference is the last component, `list` for tags.
            found = parts[-2] if len(parts) > len(("", "v2", "name", "x")) else ""
            return found if found in _KINDS else "version"
        case ["api"]:
            return "api"
        case ["healthz" | "metrics"]:
            return "probe"
        case _:
            return "page"
