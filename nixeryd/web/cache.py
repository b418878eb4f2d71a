"""The API of the cache: what is in it, what may go, is it whole, an image as a file.

The law: whoever may see the page may list and show; everything else changes
something or reads gigabytes, and is for those whom `rights` lets.
"""

from collections.abc import AsyncGenerator
from typing import Annotated

import msgspec
import trio
from quart import Response, request
from quart_trio import QuartTrio

from nixeryd.web.api import read_body
from nixeryd.web.framework import respond
from nixeryd.web.ports import Cache, ListenerKind
from nixeryd.web.rights import check_may_change
from nixeryd.web.streams import stream_file, stream_lines

_TAR = "application/x-tar"
_Names = Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=1000)]


class NamesRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /api/v1/images/remove`."""

    names: _Names


class PinRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /api/v1/images/pin`."""

    names: _Names
    pinned: bool = True


class CollectRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /api/v1/gc`; `max_size` in bytes, null for the cap."""

    max_size: Annotated[int, msgspec.Meta(ge=0)] | None = None
    dry_run: bool = False


class VerifyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /api/v1/verify`."""

    repair: bool = False


def install_cache(app: QuartTrio, cache: Cache, listener_kind: ListenerKind) -> None:
    """Add the API of the cache."""
    _install_images(app, cache, listener_kind)
    _install_care(app, cache, listener_kind)


def _install_images(app: QuartTrio, cache: Cache, listener_kind: ListenerKind) -> None:
    @app.get("/api/v1/images")
    async def images() -> Response:
        return respond(200, msgspec.json.encode(await cache.images()))

    @app.get("/api/v1/image")
    async def image() -> Response:
        details = await cache.show(request.args.get("name", ""))
        return respond(200, msgspec.json.encode(details))

    @app.post("/api/v1/images/remove")
    async def remove() -> Response:
        check_may_change(listener_kind)
        asked = await read_body(NamesRequest)
        return respond(200, msgspec.json.encode(await cache.remove(asked.names)))

    @app.post("/api/v1/images/pin")
    async def pin() -> Response:
        check_may_change(listener_kind)
        asked = await read_body(PinRequest)
        names = await cache.pin(asked.names, pinned=asked.pinned)
        return respond(200, msgspec.json.encode({"names": names}))

    @app.get("/api/v1/image/archive")
    async def archive() -> Response:
        check_may_change(listener_kind)
        found = await cache.export(request.args.get("name", ""))
        return stream_file(found.read(), found.size, _TAR)


def _install_care(app: QuartTrio, cache: Cache, listener_kind: ListenerKind) -> None:
    @app.post("/api/v1/gc")
    async def collect() -> Response:
        check_may_change(listener_kind)
        asked = await read_body(CollectRequest)
        evicted = await cache.collect(asked.max_size, dry_run=asked.dry_run)
        return respond(200, msgspec.json.encode(evicted))

    @app.post("/api/v1/verify")
    async def verify() -> Response:
        check_may_change(listener_kind)
        asked = await read_body(VerifyRequest)
        return stream_lines(_tell(cache, repair=asked.repair))


@trio.as_safe_channel
async def _tell(cache: Cache, *, repair: bool) -> AsyncGenerator[bytes, None]:
    async with cache.verify(repair=repair) as events:
        async for event in events:
            yield msgspec.json.encode(event) + b"\n"  # noqa: ASYNC119  a safe channel
