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

from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.images.manifests import INDEX_TYPE
from nixeryd.images.referrers import of_type, render_referrers
from nixeryd.images.routes import (
    ApiVersion,
    BlobRoute,
    ManifestRoute,
    ReferrersRoute,
    TagsRoute,
    route,
)
from nixeryd.images.served_manifests import BlobFile, Origin
from nixeryd.web.asgi import App, Receive, Scope, Send
from nixeryd.web.bodies import open_body
from nixeryd.web.errors import UNKNOWN, describe, error_body
from nixeryd.web.exchange import Answer, Request, exchange
from nixeryd.web.headers import has_already, identity, not_modified, warning
from nixeryd.web.manifests import Manifests
from nixeryd.web.ports import Registry
from nixeryd.web.ranges import RangeNotSatisfiable, parse_range
from nixeryd.web.refusals import Refusals
from nixeryd.web.waiting import HOLD, RedirectHop

_ROOT = b"/v2"
_BLOB_TYPE = "application/octet-stream"
_NAMESPACE = re.compile(r"[A-Za-z0-9.-]+(?::\d+)?|\[[0-9A-Fa-f:]+\](?::\d+)?", re.ASCII)


class RegistryApp:
    """An ASGI app that answers all of /v2 itself and passes the rest on.

    `hold`: seconds that a manifest may take before its client is sent round.
    """

    def __init__(
        self, registry: Registry, rest: App, *, mirror: bool, hold: float = HOLD
    ) -> None:
        self._registry = registry
        self._rest = rest
        self._mirror = mirror
        self._refusals = Refusals()
        self._manifests = Manifests(registry, self._refusals, hold)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and _is_ours(scope["raw_path"]):
            await exchange(scope, send, self._answer)
        else:
            await self._rest(scope, receive, send)

    async def _answer(self, request: Request) -> Answer:
        try:
            answer = await _answer(
                self._registry,
                request,
                self._manifests,
                self._refusals,
                mirror=self._mirror,
            )
        except Exception as error:  # noqa: BLE001  whatever it is, the client is told
            answer = Answer.of_bytes(*describe(error))
        answer.headers["Docker-Distribution-API-Version"] = "registry/2.0"
        return answer


def _is_ours(raw_path: bytes) -> bool:
    return raw_path == _ROOT or raw_path.startswith(_ROOT + b"/")


async def _answer(
    registry: Registry,
    request: Request,
    manifests: Manifests,
    refusals: Refusals,
    *,
    mirror: bool,
) -> Answer:
    if request.method not in {"GET", "HEAD"}:
        raise RegistryError(
            ErrorCode.UNSUPPORTED, "this registry is only read from; nothing is pushed"
        )
    query = dict(parse_qsl(request.query))
    origin = Origin(
        ns=_namespace(query.get("ns")),
        mirror=mirror,
        via=request.headers.get("via", ""),
    )
    match route(request.path, query):
        case ApiVersion():
            answer = Answer.of_bytes(200, b"{}")
        case ManifestRoute() as asked:
            answer = await manifests.answer(
                request, asked, origin, RedirectHop.of(query)
            )
        case BlobRoute() as asked:
            refusals.raise_for(asked.digest)
            answer = await _blob(registry, request, asked, origin)
        case TagsRoute() as asked:
            answer = await _tags(registry, asked, origin)
        case ReferrersRoute() as asked:
            answer = await _referrers(registry, asked, origin)
        case other:
            assert_never(other)
    if origin.ns is not None:
        answer.headers["OCI-Namespace"] = origin.ns
    return answer


def _namespace(text: str | None) -> str | None:
    """Let no `ns` through that could not be a registry: it goes into a header."""
    if text is not None and _NAMESPACE.fullmatch(text) is None:
        raise RegistryError(ErrorCode.NAME_UNKNOWN, f"no registry {text[:80]!r} here")
    return text


async def _blob(
    registry: Registry, request: Request, asked: BlobRoute, origin: Origin
) -> Answer:
    # RFC 9110, 14.2: "A server MUST ignore a Range header field received with a
    # request method that is unrecognized or for which range handling is not
    # defined. For this specification, GET is the only method for which range
    # handling is defined."
    if request.method == "HEAD":
        head = await registry.blob_head(asked, origin)
        return Answer(200, _blob_headers(head.digest, head.size))
    blob = await registry.blob(asked, origin)
    if has_already(request, blob.digest):
        return not_modified(blob.digest)
    made_from = "cache" if isinstance(blob, BlobFile) else blob.made_from
    part = None
    if _range_applies(request, blob.digest):
        try:
            part = parse_range(request.headers.get("range"), blob.size)
        except RangeNotSatisfiable as error:
            headers = identity(blob.digest)
            headers["Content-Range"] = f"bytes */{blob.size}"
            return Answer.of_bytes(416, error_body(UNKNOWN, str(error)), headers)
    if part is None:
        headers = _blob_headers(blob.digest, blob.size)
        return Answer(200, headers, open_body(blob, range(blob.size)), made_from)
    headers = _blob_headers(blob.digest, len(part))
    headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{blob.size}"
    return Answer(206, headers, open_body(blob, part), made_from)


async def _tags(registry: Registry, asked: TagsRoute, origin: Origin) -> Answer:
    tags = await registry.tags(asked, origin)
    page, more = paginate(tags.names, asked.limit, asked.last)
    name = "/".join(asked.repository)
    headers = warning(tags.warning)
    if more:
        query = {} if asked.limit is None else {"n": str(asked.limit)}
        query["last"] = page[-1]
        if origin.ns is not None:
            query["ns"] = origin.ns
        headers["Link"] = f'</v2/{name}/tags/list?{urlencode(query)}>; rel="next"'
    body = json.dumps({"name": name, "tags": page}).encode()
    return Answer.of_bytes(200, body, headers)


async def _referrers(
    registry: Registry, asked: ReferrersRoute, origin: Origin
) -> Answer:
    found = await registry.referrers(asked, origin)
    headers = warning(found.warning)
    items = found.items
    if asked.artifact_type is not None:
        items = of_type(items, asked.artifact_type)
        headers["OCI-Filters-Applied"] = "artifactType"
    body = render_referrers(items)
    return Answer.of_bytes(200, body, headers, content_type=INDEX_TYPE)


def paginate(
    tags: Iterable[str], limit: int | None, last: str | None
) -> tuple[list[str], bool]:
    """Return the tags after `last`, at most `limit` of them, and whether more follow.

    The spec wants them "in lexical order"; a limit of 0 gives none and no more.
    """
    rest = [tag for tag in sorted(tags) if last is None or tag > last]
    page = rest if limit is None else rest[:limit]
    return page, 0 < len(page) < len(rest)


def _blob_headers(digest: Digest, length: int) -> dict[str, str]:
    return {
        **identity(digest),
        "Accept-Ranges": "bytes",
        "Content-Type": _BLOB_TYPE,
        "Content-Length": str(length),
    }


def _range_applies(request: Request, digest: Digest) -> bool:
    return request.headers.get("if-range", f'"{digest}"') == f'"{digest}"'
