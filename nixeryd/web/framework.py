"""What only quart answers: the API, the page, and failures there, as JSON.

Imported when the first such request comes (`nixeryd.web.app`): quart, flask and
werkzeug take a good part of the time that a start would take, and a daemon that
only serves images never needs them.
"""

from quart import Response
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioResponse
from werkzeug.exceptions import HTTPException

from nixeryd.images.errors import ErrorCode
from nixeryd.web.errors import INTERNAL, NOT_ALLOWED, UNKNOWN, describe, error_body

_MAX_REQUEST = 1024 * 1024  # bytes; nothing is pushed here


def make_framework_app() -> QuartTrio:
    """Make an app without routes that answers as we do.

    Neither startup nor shutdown hooks of the framework are run: what the ports
    need is open before, and closed after, by whoever owns them.
    """
    app = QuartTrio("nixeryd", static_folder=None)
    app.config["RESPONSE_TIMEOUT"] = None  # would cut long bodies, silently
    app.config["MAX_CONTENT_LENGTH"] = _MAX_REQUEST
    # A path is what was asked for; no redirects to prettier ones.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    install_handlers(app)
    return app


def respond(
    status: int,
    body: bytes,
    headers: dict[str, str] | None = None,
    *,
    content_type: str = "application/json",
) -> Response:
    """Make a response of these very bytes."""
    return TrioResponse(body, status, headers, content_type=content_type)


def install_handlers(app: QuartTrio) -> None:
    """Make `app` answer every failure as JSON."""

    @app.errorhandler(HTTPException)
    async def refused(error: HTTPException) -> Response:
        code = ErrorCode.UNSUPPORTED if error.code == NOT_ALLOWED else UNKNOWN
        headers = {name: text for name, text in error.get_headers() if name == "Allow"}
        return respond(
            error.code or INTERNAL, error_body(code, error.description or ""), headers
        )

    @app.errorhandler(Exception)
    async def failed(error: Exception) -> Response:
        return respond(*describe(error))
