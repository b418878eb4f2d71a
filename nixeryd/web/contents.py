"""The API of what is inside images."""

import msgspec
from quart import Response, request
from quart_trio import QuartTrio

from nixeryd.web.framework import respond
from nixeryd.web.ports import Cache


def install_insides(app: QuartTrio, cache: Cache) -> None:
    """Add it; it only tells."""

    @app.get("/api/v1/image/inside")
    async def inside() -> Response:
        found = await cache.inside(request.args.get("name", ""))
        return respond(200, msgspec.json.encode(found))

    @app.get("/api/v1/image/why")
    async def why() -> Response:
        name, path = request.args.get("name", ""), request.args.get("path", "")
        return respond(200, msgspec.json.encode(await cache.why(name, path)))
