"""The distribution API: every request below /v2/, reading only.

The law: `nixeryd.images.routes` says what a path means, the `Registry` port
what the answer is made of; here it becomes headers. GET and HEAD carry the same
headers, and HEAD opens no blob. There is never an authentication challenge:
dockerd would answer a mirror's with the user's password for Docker Hub.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
"""

import json
import re
from collections.abc import Iterable
from typing import assert_never
from urllib.parse import parse_qsl, urlencode

from quart import Response, request
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioResponse

from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.images.manifests import EMPTY_INDEX, INDEX_TYPE, MANIFEST_TYPE
from nixeryd.images.ranges import RangeNotSatisfiable, parse_range
from nixeryd.images.routes import (
    ApiVersion,
    BlobRoute,
    ManifestRoute,
    ReferrersRoute,
    TagsRoute,
    route,
)
from nixeryd.images.served import Origin, Patience, StillBuilding
from nixeryd.web.bodies import open_body
from nixeryd.web.errors import UNKNOWN, error_body, respond
from nixeryd.web.ports import Registry
from nixeryd.web.waiting import HOLD, LateBody, Turn

_ROOT = "/v2"
_BLOB_TYPE = "application/octet-stream"
_NAMESPACE = re.compile(r"[A-Za-z0-9.-]+(?::\d+)?|\[[0-9A-Fa-f:]+\](?::\d+)?", re.ASCII)


def install_registry(
    app: QuartTrio, registry: Registry, *, mirror: bool, hold: float = HOLD
) -> None:
    """Let `registry` answer all of /v2 in `app`; `hold` seconds for a manifest."""

    # Not a route: the framework decodes %2F before it matches, and a repository
    # name has as many slashes as it likes.
    @app.before_request
    async def answer() -> Response | None:
        path = request.scope["raw_path"].decode("ascii")
        if path != _ROOT and not path.startswith(_ROOT + "/"):
            return None
        return await _answer(registry, path, mirror=mirror, hold=hold)

    @app.after_request
    async def tell_version(response: Response) -> Response:
        if request.path.startswith(_ROOT):
            response.headers["Docker-Distribution-API-Version"] = "registry/2.0"
        return response


async def _answer(
    registry: Registry, path: str, *, mirror: bool, hold: float
) -> Response:
    if request.method not in {"GET", "HEAD"}:
        raise RegistryError(
            ErrorCode.UNSUPPORTED, "this registry is only read from; nothing is pushed"
        )
    query = dict(parse_qsl(request.query_string.decode("ascii")))
    origin = Origin(ns=_namespace(query.get("ns")), mirror=mirror)
    match route(path, query):
        case ApiVersion():
            response = respond(200, b"{}")
        case ManifestRoute() as asked:
            turn = Turn.of(query)
            try:
                response = await _manifest(registry, asked, origin, turn.patience(hold))
            except StillBuilding as still:
                if turn.is_last:
                    response = _late(registry, asked, origin, still.ticket)
                else:
                    location = turn.next_location(path, query, still.ticket)
                    response = respond(307, b"{}", {"Location": location})
        case BlobRoute() as asked:
            response = await _blob(registry, asked, origin)
        case TagsRoute() as asked:
            response = await _tags(registry, asked, origin)
        case ReferrersRoute():
            response = respond(200, EMPTY_INDEX, content_type=INDEX_TYPE)
        case other:
            assert_never(other)
    if origin.ns is not None:
        response.headers["OCI-Namespace"] = origin.ns
    return response


def _namespace(text: str | None) -> str | None:
    """Let no `ns` through that could not be a registry: it goes into a header."""
    if text is not None and _NAMESPACE.fullmatch(text) is None:
        raise RegistryError(ErrorCode.NAME_UNKNOWN, f"no registry {text[:80]!r} here")
    return text


async def _manifest(
    registry: Registry, asked: ManifestRoute, origin: Origin, patience: Patience
) -> Response:
    manifest = await registry.manifest(asked, origin, patience)
    if _has_already(manifest.digest):
        return _not_modified(manifest.digest)
    return respond(
        200,
        manifest.body,
        _identity(manifest.digest),
        content_type=manifest.media_type,
    )


def _late(
    registry: Registry, asked: ManifestRoute, origin: Origin, ticket: str
) -> Response:
    """Answer when there is no other way to wait: see `nixeryd.web.waiting`."""
    body = LateBody(lambda: registry.manifest(asked, origin, Patience(ticket=ticket)))
    is_head = request.method == "HEAD"
    response = TrioResponse(b"" if is_head else body, content_type=MANIFEST_TYPE)
    # A length of 0 would be believed.
    response.headers.pop("Content-Length", None)
    return response


async def _blob(registry: Registry, asked: BlobRoute, origin: Origin) -> Response:
    blob = await registry.blob(asked, origin)
    if _has_already(blob.digest):
        return _not_modified(blob.digest)
    headers = {**_identity(blob.digest), "Accept-Ranges": "bytes"}
    part, status = range(blob.size), 200
    # RFC 9110, 14.2: "A server MUST ignore a Range header field received with a
    # request method that is unrecognized or for which range handling is not
    # defined. For this specification, GET is the only method for which range
    # handling is defined."
    if request.method == "GET" and _range_applies(blob.digest):
        try:
            asked_part = parse_range(request.headers.get("Range"), blob.size)
        except RangeNotSatisfiable as error:
            headers["Content-Range"] = f"bytes */{blob.size}"
            return respond(416, error_body(UNKNOWN, str(error)), headers)
        if asked_part is not None:
            part, status = asked_part, 206
            headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{blob.size}"
    body = b"" if request.method == "HEAD" else await open_body(blob, part)
    response = TrioResponse(body, status, headers, content_type=_BLOB_TYPE)
    response.content_length = len(part)
    return response


async def _tags(registry: Registry, asked: TagsRoute, origin: Origin) -> Response:
    tags = await registry.tags(asked, origin)
    page, more = paginate(tags, asked.limit, asked.last)
    name = "/".join(asked.repository)
    headers = {}
    if more:
        query = {"n": asked.limit, "last": page[-1]}
        if origin.ns is not None:
            query["ns"] = origin.ns
        headers["Link"] = f'</v2/{name}/tags/list?{urlencode(query)}>; rel="next"'
    return respond(200, json.dumps({"name": name, "tags": page}).encode(), headers)


def paginate(
    tags: Iterable[str], limit: int | None, last: str | None
) -> tuple[list[str], bool]:
    """Give the tags after `last`, at most `limit` of them, and whether more follow.

    The spec wants them "in lexical order"; a limit of 0 gives none and no more.
    """
    rest = [tag for tag in sorted(tags) if last is None or tag > last]
    page = rest if limit is None else rest[:limit]
    return page, 0 < len(page) < len(rest)


def _identity(digest: Digest) -> dict[str, str]:
    return {"Docker-Content-Digest": str(digest), "ETag": f'"{digest}"'}


def _has_already(digest: Digest) -> bool:
    return request.if_none_match.contains_weak(str(digest))


def _range_applies(digest: Digest) -> bool:
    return request.headers.get("If-Range", f'"{digest}"') == f'"{digest}"'


def _not_modified(digest: Digest) -> Response:
    response = respond(304, b"", _identity(digest))
    del response.headers["Content-Length"]  # would have to be that of a 200
    return response
