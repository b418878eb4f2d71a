"""The JSON API: what the command line and the page ask.

The law: who may change anything is for `rights` to say. A pull tells JSON lines,
each sent at once; it is whole if the chunked coding ends as it should.
"""

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Annotated, TypeVar

import msgspec
import trio
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import BadRequest

from nixeryd.images.errors import NixerydError, RegistryError
from nixeryd.web.framework import respond
from nixeryd.web.ports import AdminService, ListenerKind
from nixeryd.web.rights import check_may_change
from nixeryd.web.streams import stream_lines

_METRICS = "text/plain; version=0.0.4"
T = TypeVar("T")


class PullRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /api/v1/pull`."""

    names: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=100)]
    all_platforms: bool = False
    fresh: bool = False


class OfflineRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /api/v1/offline`."""

    offline: bool


class SearchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of `GET /api/v1/search`; describing takes Nix a moment."""

    q: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 20
    describe: bool = False


def install_health(app: QuartTrio) -> None:
    """Add `/healthz`: the daemon accepts connections and answers."""

    @app.get("/healthz")
    async def healthz() -> Response:
        return respond(200, b'{"status": "ok"}')


def install_api(
    app: QuartTrio, control: AdminService, listener_kind: ListenerKind
) -> None:
    """Add `/api/v1`; what changes anything is 403 for who may not."""

    @app.get("/api/v1/status")
    async def status() -> Response:
        return respond(200, json.dumps(await control.status()).encode())

    @app.get("/api/v1/config")
    async def settings() -> Response:
        return respond(200, json.dumps(control.settings()).encode())

    @app.post("/api/v1/reload")
    async def reload() -> Response:
        check_may_change(listener_kind)
        return respond(200, json.dumps(await control.reload()).encode())

    @app.get("/metrics")
    async def metrics() -> Response:
        return respond(200, control.metrics().encode(), content_type=_METRICS)

    @app.get("/api/v1/search")
    async def search() -> Response:
        asked = _search_request(request.args)
        found = await control.search(asked.q, asked.limit, describe=asked.describe)
        return respond(200, json.dumps(found).encode())

    @app.post("/api/v1/pull")
    async def pull() -> Response:
        check_may_change(listener_kind)
        asked = await read_body(PullRequest)
        asker = "nixeryd pull" if listener_kind is ListenerKind.ADMIN else "the page"
        return stream_lines(_tell(control, asked, asker))

    @app.post("/api/v1/popularity")
    async def popularity() -> Response:
        check_may_change(listener_kind)
        return respond(200, json.dumps(await control.renew_popularity()).encode())

    @app.post("/api/v1/offline")
    async def offline() -> Response:
        check_may_change(listener_kind)
        asked = await read_body(OfflineRequest)
        await control.set_offline(offline=asked.offline)
        return respond(200, msgspec.json.encode(asked))


def _search_request(arguments: Mapping[str, str]) -> SearchRequest:
    try:
        return msgspec.convert(dict(arguments), SearchRequest, strict=False)
    except msgspec.ValidationError as error:
        raise BadRequest(f"/api/v1/search?q=…: {error}") from error


async def read_body(kind: type[T]) -> T:
    """Read the request's JSON; 400 that says what is wrong with it."""
    try:
        return msgspec.json.decode(await request.get_data(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(str(error)) from error


@trio.as_safe_channel
async def _tell(
    control: AdminService, asked: PullRequest, asker: str
) -> AsyncGenerator[bytes, None]:
    for name in asked.names:
        try:
            pull = control.pull(
                name,
                all_platforms=asked.all_platforms,
                fresh=asked.fresh,
                asker=asker,
            )
            async with pull as events:
                async for event in events:
                    yield _line(name, event)  # noqa: ASYNC119  a safe channel
        except NixerydError as error:
            code = error.code if isinstance(error, RegistryError) else "UNKNOWN"
            yield _line(name, {"type": "error", "code": code, "message": str(error)})


def _line(name: str, event: Mapping[str, object]) -> bytes:
    return json.dumps({"name": name, **event}).encode() + b"\n"
