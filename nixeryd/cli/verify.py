"""`nixeryd verify`: is all in the cache as it was when it came."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from nixeryd.api.images import Checked, Checking
from nixeryd.cli.main import FAILED, settings_options
from nixeryd.images.errors import NixerydError
from nixeryd.images.sizes import render_size


@click.command()
@click.option(
    "--repair",
    is_flag=True,
    help="Remove what is broken; the next pull builds or fetches it again.",
)
@click.option("--json", "as_json", is_flag=True, help="The result, for programs.")
@settings_options
def verify(
    config: Path | None, data_dir: Path | None, *, repair: bool, as_json: bool
) -> int:
    """Read everything in the cache and compare it with its digests."""
    from nixeryd.cli.client import Client  # noqa: PLC0415  takes a moment

    client = Client(config, data_dir)
    found = _follow(client.follow("/api/v1/verify", {"repair": repair}))
    if as_json:
        click.echo(json.dumps(found, indent=2))
    checked = msgspec.convert(found, Checked)
    if not as_json:
        _report(checked, repair=repair)
    return FAILED if checked.broken and not checked.repaired else 0


def _follow(events: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """Show how far it is, on a terminal only; give the result."""
    from nixeryd.cli.console import PlainConsole  # noqa: PLC0415  slow

    with PlainConsole(stderr=True).status("reading") as status:
        for event in events:
            match msgspec.convert(event, Checking | Checked):
                case Checking(done, total):
                    text = f"reading {render_size(done)} of {render_size(total)}"
                    status.update(text)
                case _:
                    return event
    raise NixerydError("the daemon broke off; see its log")


def _report(checked: Checked, *, repair: bool) -> None:
    for broken in checked.broken:
        end = ", removed" if broken.removed else ""
        click.echo(f"{broken.why}{end}: {broken.digest}")
    read = f"{checked.blobs} blobs, {render_size(checked.size)}"
    if not checked.broken:
        click.echo(f"{read}: all as they should be")
        return
    click.echo(f"{read}: {len(checked.broken)} broken")
    removed = [broken for broken in checked.broken if broken.removed]
    if images := sorted({image for broken in removed for image in broken.images}):
        click.echo(f"to have them again: nixeryd pull {' '.join(images)}")
    if len(removed) < len(checked.broken):
        click.echo(
            "what may not be read stays: mend its permissions"
            if repair
            else "nixeryd verify --repair removes them"
        )
