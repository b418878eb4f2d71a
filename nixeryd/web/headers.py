"""Headers that answers about manifests and blobs have in common."""

from nixeryd.images.digests import Digest
from nixeryd.images.freshness import render_warning
from nixeryd.web.exchange import Answer, Request


def identity(digest: Digest) -> dict[str, str]:
    """Name the bytes that are sent."""
    return {"Docker-Content-Digest": str(digest), "ETag": f'"{digest}"'}


def warning(text: str | None) -> dict[str, str]:
    """Warn the user, if there is anything to warn of."""
    return {} if text is None else {"Warning": render_warning(text)}


def has_already(request: Request, digest: Digest) -> bool:
    """Return whether the client says that it has these bytes."""
    known = request.headers.get("if-none-match")
    if known is None:
        return False
    from werkzeug.http import parse_etags  # noqa: PLC0415  not at each start

    return parse_etags(known).contains_weak(str(digest))


def not_modified(digest: Digest) -> Answer:
    """Answer that what the client has is right."""
    return Answer(304, identity(digest))  # a length would have to be that of a 200
