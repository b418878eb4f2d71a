"""`nixeryd rm`, `pin` and `unpin`: what becomes of images, by name."""

import json
from pathlib import Path
from typing import Any

import click
import msgspec

from nixeryd.api.images import Evicted
from nixeryd.cli.main import settings_options
from nixeryd.images.sizes import render_size

_names = click.argument("names", nargs=-1, required=True, metavar="NAME[:TAG]...")
_as_json = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.command()
@_names
@_as_json
@settings_options
def rm(
    names: tuple[str, ...], config: Path | None, data_dir: Path | None, *, as_json: bool
) -> None:
    """Remove images from the cache, with all that no other image needs.

    \b
    nixeryd rm shell/git docker.io/library/nginx:1.27
    """
    found = _post(config, data_dir, "remove", {"names": names})
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    removed = msgspec.convert(found, Evicted)
    click.echo(
        f"removed {', '.join(removed.images)}; freed {render_size(removed.freed)}"
    )


@click.command()
@_names
@settings_options
def pin(names: tuple[str, ...], config: Path | None, data_dir: Path | None) -> None:
    """Keep images in the cache, whatever its cap, and whatever they become.

    \b
    nixeryd pin shell/git
    """
    found = _post(config, data_dir, "pin", {"names": names, "pinned": True})
    click.echo(f"pinned {', '.join(found['names'])}")


@click.command()
@_names
@settings_options
def unpin(names: tuple[str, ...], config: Path | None, data_dir: Path | None) -> None:
    """Let pinned images go again when the cache is full."""
    found = _post(config, data_dir, "pin", {"names": names, "pinned": False})
    click.echo(f"unpinned {', '.join(found['names'])}")


def _post(config: Path | None, data_dir: Path | None, what: str, body: object) -> Any:
    from nixeryd.cli.client import Client  # noqa: PLC0415  takes a moment

    return Client(config, data_dir).post(f"/api/v1/images/{what}", body)
