"""Static files: read once, served under a name that changes with any of them.

So a browser may keep them for ever, and modules that import each other by
relative names are always of one version.
"""

import hashlib
from pathlib import Path

from quart import Response
from quart_trio import QuartTrio
from werkzeug.exceptions import NotFound

from nixeryd.web.framework import respond

_FILES = Path(__file__).with_name("static")
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_KEEP = {
    "Cache-Control": "max-age=31536000, immutable",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Assets:
    """The files by name; `root` is the path that they are below."""

    def __init__(self) -> None:
        self._files = {
            path.name: path.read_bytes()
            for path in sorted(_FILES.iterdir())
            if path.suffix in _TYPES
        }
        sha256 = hashlib.sha256()
        for name, data in self._files.items():
            sha256.update(f"{name} {len(data)} ".encode() + data)
        self._version = sha256.hexdigest()[:12]
        self.root = f"/static/{self._version}"

    def install(self, app: QuartTrio) -> None:
        """Serve them."""

        @app.get("/static/<version>/<name>")
        async def static(version: str, name: str) -> Response:
            data = self._files.get(name)
            if data is None or version != self._version:
                raise NotFound("there is no such file")
            kind = _TYPES[Path(name).suffix]
            return respond(200, data, dict(_KEEP), content_type=kind)
