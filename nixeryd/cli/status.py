"""`nixeryd status`: the daemon's state on one screen."""

import json
import time
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
        ("images", f"{found['images']} built, {found['mirrored']} mirrored"),
        ("cache", _cache(**found["cache"])),
    ]
    if found["offline"]:
        rows.append(("offline", found["offline"]))
    rows += [
        ("quota", f"{upstream['name']}: {_quota(upstream['rate_limit'])}")
        for upstream in found["upstreams"]
        if upstream["rate_limit"]
    ]
    rows += [
        ("building", f"{build['repository']}:{build['tag']}, {build['seconds']} s")
        for build in found["builds"]
    ]
    rows += [
        ("fetching", f"{one['source']} {one['blob'][7:19]}, {_progress(one)}")
        for one in found["downloads"]
    ]
    return "\n".join(f"{name:<10}{value}" for name, value in rows)


def _cache(size: int | None, cap: int | None) -> str:
    used = "being counted" if size is None else render_size(size)
    return used + (f" of {render_size(cap)}" if cap else ", without a cap")


def _quota(limit: dict[str, Any]) -> str:
    """Say it as `76 of 100 pulls left per 6 h, seen 5 min ago`."""
    left = "?" if limit["remaining"] is None else limit["remaining"]
    total = "" if limit["limit"] is None else f" of {limit['limit']}"
    window = f" per {limit['window'] / 3600:g} h" if limit["window"] else ""
    minutes = max(0, time.time() - limit["seen"]) / 60
    return f"{left}{total} pulls left{window}, seen {minutes:.0f} min ago"


def _progress(download: dict[str, Any]) -> str:
    arrived = f"{download['arrived'] / 1e6:.1f}"
    if download["size"] is None:
        return f"{arrived} MB"
    return f"{arrived} of {download['size'] / 1e6:.1f} MB"
