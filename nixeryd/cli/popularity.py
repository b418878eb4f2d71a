"""`nixeryd popularity`: renew the numbers by which layers are cut."""

import json
from pathlib import Path

import click

from nixeryd.cli.main import settings_options


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@settings_options
def popularity(config: Path | None, data_dir: Path | None, *, as_json: bool) -> None:
    """Count what is popular in your Nix store, for better layers.

    What many packages need gets a layer of its own, which many images share. The
    numbers are kept until this is run again, since other numbers make other digests.
    With nix.popularity set they are read from there again, and not counted.
    """
    from nixeryd.cli.client import Client  # noqa: PLC0415  takes a moment

    found = Client(config, data_dir).post("/api/v1/popularity")
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    where = "your store" if found["origin"] == "store" else found["origin"]
    click.echo(f"{found['names']} names from {where}; the most popular:")
    width = max((len(str(count)) for _, count in found["top"]), default=0)
    for name, count in found["top"]:
        click.echo(f"  {count:>{width}}  {name}")
