"""The OpenAPI document of the JSON API, made of the types that it is made of.

The law: `ENDPOINTS` names every path of the API and no other (a test compares it
with the routes), and what is described is what is sent (tests read real answers as
these types).

https://spec.openapis.org/oas/v3.1.0
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from quart import Response
from quart_trio import QuartTrio

from nixeryd import __version__
from nixeryd.api import daemon
from nixeryd.api.builds import Build, Failure, LogPart
from nixeryd.api.contents import Inside, Why
from nixeryd.api.images import Checked, Checking, Evicted, ImageDetails, ImageList
from nixeryd.web.api import OfflineRequest, PullRequest
from nixeryd.web.cache import CollectRequest, NamesRequest, PinRequest, VerifyRequest
from nixeryd.web.framework import respond
from nixeryd.web.live import Now

_JSON = "application/json"
_LINES = "application/x-ndjson"
_EVENTS = "text/event-stream"
_TEXT = "text/plain"
_REF = "#/components/schemas/{name}"
_NAME = {"name": "The image: NAME or NAME:TAG."}
_CHANGES = (
    " Only on the admin socket, or from the daemon's own page on the same machine"
    " (its Origin, and the header `X-Nixeryd: page`); 403 for others."
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path. `answer` is a type, of each event or line if many.

    `query` says what each parameter is; those in `required` must be there.
    """

    method: str
    path: str
    summary: str
    answer: Any = None
    media_type: str = _JSON
    body: Any = None
    query: Mapping[str, str] | None = None
    required: Sequence[str] = ("name", "path", "q")

    @property
    def changes(self) -> bool:
        return self.method == "post"


ENDPOINTS = (
    Endpoint("get", "/healthz", "Whether the daemon answers.", daemon.Health),
    Endpoint("get", "/metrics", "The state in Prometheus' format.", media_type=_TEXT),
    Endpoint("get", "/api/v1/openapi.json", "This document.", dict[str, Any]),
    Endpoint("get", "/api/v1/status", "The daemon at a glance.", daemon.Status),
    Endpoint("get", "/api/v1/config", "The settings in force.", daemon.Settings),
    Endpoint("post", "/api/v1/reload", "Read the settings again.", daemon.Reloaded),
    Endpoint(
        "get",
        "/api/v1/search",
        "Packages of the default source by name.",
        daemon.Found,
        query={
            "q": "What is searched for.",
            "limit": "How many at most, 20 if not given.",
            "describe": "true: with versions and descriptions, which takes longer.",
        },
    ),
    Endpoint(
        "post",
        "/api/v1/popularity",
        "Count or fetch anew by what layers are cut.",
        daemon.Popularity,
    ),
    Endpoint(
        "post",
        "/api/v1/offline",
        "Do without a network, or no longer.",
        OfflineRequest,
        body=OfflineRequest,
    ),
    Endpoint(
        "post",
        "/api/v1/pull",
        "Build or fetch images, and tell how it goes, an event per line. A build goes"
        " on if nobody listens.",
        dict[str, Any],
        _LINES,
        body=PullRequest,
    ),
    Endpoint(
        "get",
        "/api/v1/events",
        "All that goes on, told anew (event `now`) whenever it is, at most ten times"
        " a second.",
        Now,
        _EVENTS,
    ),
    Endpoint(
        "get",
        "/api/v1/builds",
        "Builds that run, then those that ended lately.",
        list[Build],
    ),
    Endpoint("get", "/api/v1/builds/{build}", "One of them.", Build),
    Endpoint(
        "get",
        "/api/v1/builds/{build}/log",
        "The end of its log.",
        LogPart,
        query={"start": "The number of the first line wanted, from 0."},
    ),
    Endpoint(
        "get",
        "/api/v1/builds/{build}/events",
        "Its log and its state: events `log` (a LogPart), `build` (a Build), `end`."
        " Last-Event-ID is the number of lines that have been read.",
        LogPart,
        _EVENTS,
    ),
    Endpoint("get", "/api/v1/failures", "The last failed builds.", list[Failure]),
    Endpoint("get", "/api/v1/failures/{build}", "One of them.", Failure),
    Endpoint(
        "get",
        "/api/v1/failures/{build}/log",
        "The end of its log.",
        media_type=_TEXT,
    ),
    Endpoint("get", "/api/v1/images", "All that is in the cache.", ImageList),
    Endpoint("get", "/api/v1/image", "All of an image.", ImageDetails, query=_NAME),
    Endpoint(
        "get",
        "/api/v1/image/inside",
        "What an image shares, what brings what in, what its tag was.",
        Inside,
        query=_NAME,
    ),
    Endpoint(
        "get",
        "/api/v1/image/why",
        "Why a store path is in an image.",
        Why,
        query=_NAME | {"path": "The whole store path."},
    ),
    Endpoint(
        "get",
        "/api/v1/image/archive",
        "An image as an OCI archive that docker load takes, too." + _CHANGES,
        media_type="application/x-tar",
        query=_NAME,
    ),
    Endpoint(
        "post",
        "/api/v1/images/remove",
        "Remove images.",
        Evicted,
        body=NamesRequest,
    ),
    Endpoint(
        "post",
        "/api/v1/images/pin",
        "Pin images, or unpin them; tells their whole names.",
        dict[str, list[str]],
        body=PinRequest,
    ),
    Endpoint("post", "/api/v1/gc", "Make room.", Evicted, body=CollectRequest),
    Endpoint(
        "post",
        "/api/v1/verify",
        "Read all blobs and tell how it goes, an event per line.",
        Checking | Checked,
        _LINES,
        body=VerifyRequest,
    ),
)


def install_openapi(app: QuartTrio) -> None:
    """Serve the document."""
    text = msgspec.json.encode(document())

    @app.get("/api/v1/openapi.json")
    async def openapi() -> Response:
        return respond(200, text)


def document() -> dict[str, object]:
    """Make the document."""
    types = [one.answer for one in ENDPOINTS if one.answer is not None]
    types += [one.body for one in ENDPOINTS if one.body is not None]
    types.append(daemon.Errors)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema_of = dict(zip(map(_key, types), schemas, strict=True))
    paths: dict[str, dict[str, object]] = {}
    for one in ENDPOINTS:
        paths.setdefault(one.path, {})[one.method] = _operation(one, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "nixeryd",
            "version": __version__,
            "description": "What the nixeryd command and the page ask the daemon."
            " Sizes are in bytes, durations in seconds, moments in seconds since the"
            " epoch.",
        },
        "paths": paths,
        "components": {"schemas": components},
    }


def _key(kind: Any) -> str:
    return repr(kind)


def _operation(one: Endpoint, schema_of: Mapping[str, Any]) -> dict[str, object]:
    content: dict[str, object] = {}
    if one.answer is not None:
        content["schema"] = schema_of[_key(one.answer)]
    operation: dict[str, object] = {
        "operationId": f"{one.method}{re.sub('[^A-Za-z]+', '_', one.path)}".strip("_"),
        "summary": one.summary + (_CHANGES if one.changes else ""),
        "parameters": [
            *(
                _parameter("path", name, "The id of a build.", required=True)
                for name in re.findall(r"{(\w+)}", one.path)
            ),
            *(
                _parameter("query", name, text, required=name in one.required)
                for name, text in (one.query or {}).items()
            ),
        ],
        "responses": {
            "200": {"description": "As asked.", "content": {one.media_type: content}},
            "default": {
                "description": "What went wrong.",
                "content": {_JSON: {"schema": schema_of[_key(daemon.Errors)]}},
            },
        },
    }
    if one.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {_JSON: {"schema": schema_of[_key(one.body)]}},
        }
    return operation


def _parameter(place: str, name: str, text: str, *, required: bool) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": required,
        "description": text,
        "schema": {"type": "string"},
    }
