"""Compose: put an image's name together, package by package.

The name is the package list, so this is a form with one more field than there
are packages, and works without a script.
"""

from quart import Response, request
from quart_trio import QuartTrio

from nixeryd.api.images import Image
from nixeryd.images.errors import RegistryError
from nixeryd.images.names import (
    META_PACKAGES,
    THIN,
    parse_reference,
    parse_repository,
)
from nixeryd.web.dashboard.pages import Answer
from nixeryd.web.ports import Cache

_ARCHITECTURES = ("amd64", "arm64")


def install_compose(app: QuartTrio, cache: Cache, answer: Answer) -> None:
    """Add the page that composes a name."""

    @app.get("/compose")
    async def compose_page() -> Response:
        packages = list(dict.fromkeys(filter(None, map(_as_component, _asked()))))
        removed = request.args.get("remove", "")
        packages = [package for package in packages if package != removed]
        # A box that is not ticked is not sent: "with" tells that it was there.
        has_shell = "shell" in request.args or "with" not in request.args
        architecture = request.args.get("arch", "")
        tag = request.args.get("tag", "").strip()
        problem = _problem(packages, tag)
        metas = ["shell"] if has_shell else []
        metas += [architecture] if architecture in _ARCHITECTURES else []
        name = "/".join([*metas, *packages]) if packages or has_shell else ""
        whole = f"{name}:{tag}" if tag and tag != "latest" else name
        if problem:
            whole = ""
        return await answer(
            "compose.html",
            packages=packages,
            has_shell=has_shell,
            architecture=architecture,
            tag=tag,
            problem=problem,
            name=whole,
            known=await _known(cache, whole) if whole else None,
        )


async def _known(cache: Cache, name: str) -> Image | None:
    """Find the image, if it is here already: then its size is known."""
    try:
        return (await cache.show(name)).image
    except RegistryError:
        return None


def _asked() -> list[str]:
    """Return the packages so far, and those to add: several may be typed at once."""
    added = request.args.get("add", "").replace("/", " ").replace(",", " ")
    return [*request.args.getlist("p"), *added.split()]


def _as_component(text: str) -> str:
    """Write an attribute as it is written in an image name.

    Upper case is looked up, and so is the underscore before a digit.
    """
    found = text.strip().lower()
    return found[1:] if found[:1] == "_" and found[1:2].isdigit() else found


def _problem(packages: list[str], tag: str) -> str:
    """Say what is wrong with what was typed, "" if nothing is."""
    for package in packages:
        if package == THIN:
            return "thin is no package: `nixeryd run` makes such an image, and runs it"
        if package in META_PACKAGES:
            return f"{package} is no package: choose it above"
        try:
            parse_repository(package)
        except RegistryError as error:
            return error.message
    try:
        parse_repository("/".join(["shell", "arm64", *packages]))
        parse_reference(tag or "latest")
    except RegistryError as error:
        return error.message
    return "a digest names one image; give a tag" if ":" in tag else ""
