"""`nixeryd list`: what is in the cache."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from nixeryd.api.images import Image, ImageList
from nixeryd.cli.ages import render_age
from nixeryd.cli.main import settings_options
from nixeryd.images.sizes import render_size

_HEADINGS = ("IMAGE", "KIND", "SIZE", "UNIQUE", "SHARED", "LAST USED", "")
_RIGHT = frozenset({"SIZE", "UNIQUE", "SHARED"})


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@settings_options
def list_images(config: Path | None, data_dir: Path | None, *, as_json: bool) -> None:
    """List the images in the cache, last used first.

    UNIQUE is what an image shares with no other: removing it frees that much.
    """
    from nixeryd.cli.client import Client  # noqa: PLC0415  takes a moment

    found = Client(config, data_dir).get("/api/v1/images")
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    images = msgspec.convert(found, ImageList)
    click.echo(_table([_row(image) for image in images.images]))
    if sys.stdout.isatty():  # a pipe gets rows only
        click.echo(_summary(images))


def _row(image: Image) -> Sequence[str]:
    return (
        image.name,
        image.kind + (", partly" if image.missing else ""),
        render_size(image.size),
        render_size(image.unique),
        render_size(image.size - image.unique),
        render_age(image.used),
        "pinned" if image.pinned else "",
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = [_HEADINGS, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if heading in _RIGHT else cell.ljust(width)
            for cell, width, heading in zip(line, widths, _HEADINGS, strict=True)
        ).rstrip()
        for line in lines
    )


def _summary(images: ImageList) -> str:
    count = len(images.images)
    text = f"\n{count} image{'' if count == 1 else 's'}, {render_size(images.size)}"
    if images.cap is not None:
        text += f" of {render_size(images.cap)}"
    if images.unnamed.manifests:
        text += (
            f"; {render_size(images.unnamed.size)} of that in earlier builds that have"
            " no name any more"
        )
    return text
