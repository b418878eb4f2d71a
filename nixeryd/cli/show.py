"""`nixeryd show`: what is in an image."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import click
import msgspec

from nixeryd.api.images import ImageDetails, TagBuild
from nixeryd.cli.ages import render_age
from nixeryd.cli.main import settings_options
from nixeryd.images.sizes import render_size
from nixeryd.runtime.plaintext import one_line


@click.command()
@click.argument("name", metavar="NAME[:TAG]")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@settings_options
def show(
    name: str, config: Path | None, data_dir: Path | None, *, as_json: bool
) -> None:
    """Show an image of the cache: its configuration, its layers, where it is from.

    \b
    nixeryd show shell/git
    nixeryd show docker.io/library/nginx:1.27
    """
    from nixeryd.cli.client import Client  # noqa: PLC0415  takes a moment

    query = urlencode({"name": name})
    found = Client(config, data_dir).get(f"/api/v1/image?{query}")
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    details = msgspec.convert(found, ImageDetails)
    click.echo("\n".join(map(one_line, _lines(details))))


def _lines(details: ImageDetails) -> Iterator[str]:
    image = details.image
    for title, text in (
        ("image", image.name + (", pinned" if image.pinned else "")),
        ("kind", image.kind),
        ("digest", image.digest),
        ("platform", details.platform),
        ("source", details.origin and _origin(details.origin)),
        ("size", _size(details)),
        ("used", render_age(image.used)),
        ("problem", details.problem),
        ("user", details.config.get("User")),
        ("entry", _command(details.config.get("Entrypoint"))),
        ("command", _command(details.config.get("Cmd"))),
        ("directory", details.config.get("WorkingDir")),
    ):
        if text:
            yield f"{title:<11}{text}"
    for number, variable in enumerate(details.config.get("Env") or ()):
        yield f"{'' if number else 'variables':<11}{variable}"
    for number, build in enumerate(details.builds):
        title = "" if number else "builds"
        yield f"{title:<11}{build.digest}, {render_age(build.built)}, {_origin(build)}"
    for number, moved in enumerate(() if details.builds else details.history[1:]):
        title = "" if number else "before"
        yield f"{title:<11}{moved.digest}, {render_age(moved.since)}"
    for variant in details.variants:
        state = "" if variant.here else ", not here"
        yield f"{'variant':<11}{variant.platform}{state}  {variant.digest}"
    for layer in details.layers:
        first, *rest = layer.paths or (layer.created_by,)
        state = "" if layer.here else "not here  "
        yield f"{'layer':<11}{render_size(layer.size):>8}  {state}{first}"
        yield from (f"{'':<21}{path}" for path in rest)
    if details.left_out:
        yield f"{'':<11}and {details.left_out} layers more"


def _origin(build: TagBuild) -> str:
    text = build.source
    if build.revision:
        text += f" at {build.revision}"
    return text + (" with uncommitted changes" if build.dirty else "")


def _size(details: ImageDetails) -> str:
    image = details.image
    text = f"{render_size(image.size)}, {render_size(image.unique)} of it its own"
    if image.missing:
        text += f"; {image.missing} more blobs come when they are asked for"
    return text


def _command(words: list[str] | None) -> str:
    return json.dumps(words) if words else ""
