"""`nixeryd status`: the daemon's state on one screen."""

import json
from pathlib import Path
from typing import Any

import click

from nixeryd.cli.main import settings_options
from nixeryd.images.sizes import render_size


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@settings_options
def status(config: Path | None, data_dir: Path | None, *, as_json: bool) -> None:
    """Show what the daemon serves and what it is doing."""
    from nixeryd.cli.client import Client  # noqa: PLC0415  takes a moment

    found = Client(config, data_dir).get("/api/v1/status")
    click.echo(json.dumps(found, indent=2) if as_json else _render(found))


def _render(found: dict[str, Any]) -> str:
    source = found["source"]
    revision = f" ({source['revision']})" if source["revision"] else ""
    rows = [
        ("nixeryd", f"{found['version']}, pid {found['pid']}"),
        *((door, ", ".join(where)) for door, where in found["listeners"].items()),
        ("source", f"{source['name']}: {source['path']}{revision}"),
        ("changes", source["state"]),
        ("nix", found["nix"]),
        ("data", found["data_dir"]),
        ("images", str(found["images"])),
        ("cache", _cache(**found["cache"])),
    ]
    rows += [
        ("building", f"{build['repository']}:{build['tag']}, {build['seconds']} s")
        for build in found["builds"]
    ]
    return "\n".join(f"{name:<10}{value}" for name, value in rows)


def _cache(size: int | None, cap: int | None) -> str:
    used = "being counted" if size is None else render_size(size)
    return used + (f" of {render_size(cap)}" if cap else ", without a cap")
