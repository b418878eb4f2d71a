"""The one place where failures become answers.

Every answer that tells of a failure is the distribution spec's JSON, also
beyond /v2: one shape is enough for one daemon. What nobody foresaw is logged
once, here, and told without its insides.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#error-codes
"""

import errno
import json
import logging

from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.runtime.exhaustion import EXHAUSTED
from nixeryd.runtime.flight import Stopping
from nixeryd.web.asgi import Send

_log = logging.getLogger(__name__)

UNKNOWN = "UNKNOWN"  # distribution's code for what has none in the spec
INTERNAL = 500
NOT_ALLOWED = 405
ALLOWED = "GET, HEAD"
# What the owner of the data directory mends: permissions, or the disk.
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}
_RESTART = "2"  # seconds until a daemon that was stopped may be back


def render_error(error: NixerydError) -> tuple[int, bytes]:
    """Return the HTTP status and the JSON body that tell of `error`."""
    match error:
        case RegistryError():
            return error.status, error_body(error.code, error.message, error.detail)
        case _:
            return INTERNAL, error_body(UNKNOWN, str(error))


def describe(error: Exception) -> tuple[int, bytes, dict[str, str]]:
    """Return status, JSON and further headers of an answer; logs what is our fault."""
    if isinstance(error, OSError) and error.errno in EXHAUSTED:
        _log.error("a request failed: %s", error)
        told = f"this machine has no more to give ({error.strerror}); ask again"
        error = RegistryError(ErrorCode.TOOMANYREQUESTS, told)
    if isinstance(error, OSError) and error.errno in _REFUSED:
        _log.error("a request failed: %s", error)
        place = error.filename or "a file of this daemon"  # a read knows no name
        told = f"{place}: {error.strerror}; mend its permissions or its disk"
        error = RegistryError(ErrorCode.DENIED, told)
    if not isinstance(error, NixerydError):
        _log.error("a request failed", exc_info=error)
        told = "a defect of nixeryd; its log has the details"
        return INTERNAL, error_body(UNKNOWN, told), {}
    status, body = render_error(error)
    if status == INTERNAL:
        _log.error("%s", error)
    # RFC 9110, 15.5.6: a 405 must say what is allowed; what is not there at
    # all, such as a catalog, is only read from as well.
    headers = {"Allow": ALLOWED} if status == NOT_ALLOWED else {}
    if isinstance(error, Stopping):
        headers["Retry-After"] = _RESTART
    return status, body, headers


def error_body(code: str, message: str, detail: object = None) -> bytes:
    """Return the spec's JSON for one error."""
    entry: dict[str, object] = {"code": code, "message": message}
    if detail is not None:
        entry["detail"] = detail
    return json.dumps({"errors": [entry]}, default=str).encode()


async def deny(send: Send, error: RegistryError) -> None:
    """Answer a request with nothing but an error, and end its connection."""
    status, body = render_error(error)
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})
