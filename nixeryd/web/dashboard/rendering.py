"""Templates to responses: the words for numbers and times, the headers.

The law: what a template is given is escaped, and no page may load, send or be
framed by anything but ourselves.

https://www.w3.org/TR/CSP3/
"""

import json
import time
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from quart import Response, request

from nixeryd import __version__
from nixeryd.images.names import is_thin
from nixeryd.images.sizes import render_size
from nixeryd.layers.thin import MOUNT
from nixeryd.web.dashboard.assets import Assets
from nixeryd.web.framework import respond
from nixeryd.web.guard import is_this_machine

_TEMPLATES = Path(__file__).with_name("templates")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_SHORT, _MINUTE, _HOUR, _DAY = 10, 60, 3600, 86400


class Pages:
    """Renders templates."""

    def __init__(self, assets: Assets) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {
            "ago": render_ago,
            "iso": render_moment,
            "json": lambda value: json.dumps(value, ensure_ascii=False),
            "seconds": render_seconds,
            "size": render_size,
        }
        self._templates.tests["thin"] = is_thin
        self._templates.globals |= {
            "assets": assets.root,
            "mount": MOUNT,
            "version": __version__,
        }

    def text(self, template: str, **values: object) -> str:
        """Render a template."""
        return self._templates.get_template(template).render(now=time.time(), **values)

    def page(self, template: str, *, status: int = 200, **values: object) -> Response:
        """Answer with a whole page."""
        body = self.text(template, registry=registry_name(), **values).encode()
        headers = {**HEADERS, "Cache-Control": "no-store"}
        return respond(status, body, headers, content_type="text/html; charset=utf-8")


def registry_name() -> str:
    """Say how clients on this machine name us: the address that this page has."""
    host, colon, port = request.host.rpartition(":")
    if not colon or not port.isdigit():
        host, port = request.host, "80"
    here = is_this_machine(host.strip("[]")) or host.endswith("localhost")
    return f"{'localhost' if here else host}:{port}"


def render_seconds(seconds: float) -> str:
    """Write a duration with two units at most."""
    whole = int(seconds)
    if seconds < _SHORT:
        return f"{seconds:.1f} s"
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def render_ago(moment: float, now: float) -> str:
    """Write how long ago a moment is, with one unit."""
    seconds = max(0, int(now - moment))
    if seconds < _MINUTE:
        return "just now"
    for unit, length in (("day", _DAY), ("hour", _HOUR), ("minute", _MINUTE)):
        if count := seconds // length:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    raise AssertionError


def render_moment(moment: float) -> str:
    """Write a moment as HTML's `datetime` wants it."""
    when = datetime.fromtimestamp(moment, UTC)
    return when.isoformat(timespec="seconds")
