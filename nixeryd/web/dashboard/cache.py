"""The page about the cache and the upstreams: what fills it, what goes next."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from quart import Response, request
from quart_trio import QuartTrio

from nixeryd.api.images import Image, ImageList
from nixeryd.images.errors import NixerydError
from nixeryd.images.sizes import parse_size
from nixeryd.web.dashboard.pages import Answer
from nixeryd.web.ports import Cache

_DAY = 86400
_AGES = (("today", _DAY), ("this week", 7 * _DAY), ("this month", 30 * _DAY))
_NEXT = 5  # images that would go first
_LARGEST = 8


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the cache; `size` in bytes."""

    label: str
    size: int
    images: int


def install_cache_page(app: QuartTrio, cache: Cache, answer: Answer) -> None:
    """Add the page. A preview is only computed, so it is asked for by GET."""

    @app.get("/cache")
    async def cache_page() -> Response:
        found = await cache.images()
        wanted = request.args.get("size", "").strip()
        preview, most, problem = None, None, ""
        if wanted:
            try:
                most = parse_size(wanted)
                preview = await cache.collect(most, dry_run=True)
            except NixerydError as error:
                problem = str(error)
        loose = [image for image in found.images if not image.pinned]
        return await answer(
            "cache.html",
            found=found,
            kinds=_kinds(found),
            ages=_ages(found.images),
            largest=sorted(found.images, key=lambda image: -image.unique)[:_LARGEST],
            next_to_go=sorted(loose, key=lambda image: image.used)[:_NEXT],
            wanted=wanted,
            most=most,
            preview=preview,
            problem=problem,
        )


def _kinds(found: ImageList) -> list[Part]:
    """Split the cache by what is in it; what several images share is a part."""
    parts = []
    for kind, label in (("nix", "Built by Nix"), ("mirrored", "Mirrored")):
        images = [image for image in found.images if image.kind == kind]
        if images:
            size = sum(image.unique for image in images)
            parts.append(Part(label, size, len(images)))
    if found.unnamed.size:
        parts.append(
            Part("Without a name", found.unnamed.size, found.unnamed.manifests)
        )
    shared = found.size - sum(part.size for part in parts)
    if shared > 0 and found.images:
        parts.append(Part("Shared by several", shared, len(found.images)))
    return parts


def _ages(images: Sequence[Image]) -> list[Part]:
    """Split what images have for themselves by when they were last used."""
    now = time.time()
    parts: dict[str, list[Image]] = {}
    for image in images:
        age = now - image.used
        label = next((name for name, most in _AGES if age < most), "earlier")
        parts.setdefault(label, []).append(image)
    order = [*(name for name, _ in _AGES), "earlier"]
    return [
        Part(label, sum(image.unique for image in parts[label]), len(parts[label]))
        for label in order
        if label in parts
    ]
