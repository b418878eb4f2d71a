"""The pages about images: all of them, and what is inside one."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from quart import Response, request
from quart_trio import QuartTrio

from nixeryd.api.contents import Inside
from nixeryd.api.images import Image, ImageDetails
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.web.dashboard.pages import Answer
from nixeryd.web.dashboard.treemap import Area, lay_out
from nixeryd.web.ports import Cache

_WIDTH, _HEIGHT = 1000, 300
_SEEN = 3  # units of these
_LONGEST = 100_000  # characters of JSON
# A layer that so many other images have, or more, is of this class or a higher one.
_SHARED = (1, 3, 10)

_ORDERS: dict[str, Callable[[Image], str | float]] = {
    "used": lambda image: -image.used,
    "name": lambda image: image.name,
    "size": lambda image: -image.size,
    "unique": lambda image: -image.unique,
}


@dataclass(frozen=True, slots=True)
class Part:
    """A store path within a layer's area."""

    path: str
    name: str
    size: int
    area: Area


@dataclass(frozen=True, slots=True)
class Cell:
    """A layer in the picture. `shade` says how many images share it, 0 to 3."""

    number: int
    area: Area
    shade: int
    label: str
    size: int
    others: int
    paths: Sequence[tuple[str, int]]
    parts: Sequence[Part]
    created_by: str
    digest: str
    here: bool


def install_images(app: QuartTrio, cache: Cache, answer: Answer) -> None:
    """Add the pages about images."""

    @app.get("/images")
    async def images_page() -> Response:
        found = await cache.images()
        order = request.args.get("by", "used")
        by = _ORDERS.get(order, _ORDERS["used"])
        images = sorted(found.images, key=by)
        return await answer("images.html", images=images, order=order, found=found)

    @app.get("/images/<path:name>")
    async def image_page(name: str) -> Response:
        try:
            details = await cache.show(name)
            inside = await cache.inside(name)
            path = request.args.get("why", "")
            why = await cache.why(name, path) if path else None
        except RegistryError as error:
            if error.code not in {ErrorCode.MANIFEST_UNKNOWN, ErrorCode.NAME_INVALID}:
                raise
            return await answer("missing.html", status=404, what="image")
        return await answer(
            "image.html",
            details=details,
            image=details.image,
            inside=inside,
            why=why,
            cells=_cells(details, inside),
            width=_WIDTH,
            height=_HEIGHT,
            config=_pretty(json.dumps(details.config, ensure_ascii=False)),
            manifest=_pretty(inside.manifest),
        )


def _cells(details: ImageDetails, inside: Inside) -> list[Cell]:
    """Lay the layers out, the largest first."""
    others = inside.others[: len(details.layers)] or (0,) * len(details.layers)
    layers = sorted(
        enumerate(zip(details.layers, others, strict=True), start=1),
        key=lambda numbered: -numbered[1][0].size,
    )
    areas = lay_out([layer.size for _, (layer, _) in layers], _WIDTH, _HEIGHT)
    cells = []
    for (number, (layer, shared)), area in zip(layers, areas, strict=True):
        paths = sorted(
            ((path, inside.sizes.get(path, 0)) for path in layer.paths),
            key=lambda found: (-found[1], found[0]),
        )
        label = _short(paths[0][0]) if paths else layer.created_by
        cells.append(
            Cell(
                number=number,
                area=area,
                shade=sum(shared >= bound for bound in _SHARED),
                label=label,
                size=layer.size,
                others=shared,
                paths=paths,
                parts=_parts(paths, area),
                created_by=layer.created_by,
                digest=layer.digest,
                here=layer.here,
            )
        )
    return cells


def _parts(paths: Sequence[tuple[str, int]], within: Area) -> list[Part]:
    """Divide a layer's area among its paths; what would not be seen is left out."""
    areas = lay_out([size for _, size in paths], within.width, within.height)
    return [
        Part(
            path,
            _short(path),
            size,
            Area(within.x + area.x, within.y + area.y, area.width, area.height),
        )
        for (path, size), area in zip(paths, areas, strict=True)
        if min(area.width, area.height) >= _SEEN
    ]


def _short(path: str) -> str:
    return path.rpartition("/")[2].partition("-")[2] or path


def _pretty(text: str) -> str:
    if len(text) > _LONGEST:
        return f"{text[:_LONGEST]} … and {len(text) - _LONGEST} characters more"
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
