"""`nixeryd gc`: make room in the cache."""

import json
from pathlib import Path

import click
import msgspec

from nixeryd.api.images import Evicted
from nixeryd.cli.main import settings_options
from nixeryd.images.sizes import SizeError, parse_size, render_size


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option(
    "--max-size",
    metavar="SIZE",
    help="Down to this instead of the cap, such as 5GB; 0 leaves what is pinned.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@settings_options
def gc(
    config: Path | None,
    data_dir: Path | None,
    max_size: str | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove the images not used for longest until the cache is under its cap.

    The daemon does so by itself as the cache grows. Pinned images stay.

    \b
    nixeryd gc --max-size 5GB --dry-run    see what would go
    nixeryd gc --max-size 0                all that is not pinned
    """
    from nixeryd.cli.client import Client  # noqa: PLC0415  takes a moment

    limit = _parse(max_size)
    body = {"max_size": limit, "dry_run": dry_run}
    found = Client(config, data_dir).post("/api/v1/gc", body)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    evicted = msgspec.convert(found, Evicted)
    verb = "would free" if dry_run else "freed"
    for image in evicted.images:
        click.echo(f"{'would remove' if dry_run else 'removed'} {image}")
    left = f"{render_size(evicted.left)} left"
    if limit is not None and evicted.left > limit:
        left += ", which is pinned, in use or just written"
    click.echo(f"{verb} {render_size(evicted.freed)}, {left}")


def _parse(size: str | None) -> int | None:
    try:
        return None if size is None else parse_size(size)
    except SizeError as error:
        raise click.BadParameter(str(error), param_hint="--max-size") from error
