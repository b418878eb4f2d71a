"""`nixeryd search`: find packages by their names."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from nixeryd.cli.main import FAILED, settings_options
from nixeryd.runtime.plaintext import one_line


@click.command()
@click.argument("terms", nargs=-1, required=True, metavar="TERM...")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200))
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@settings_options
def search(
    terms: tuple[str, ...],
    config: Path | None,
    data_dir: Path | None,
    *,
    limit: int,
    as_json: bool,
) -> int:
    """Find packages of the default source by their names.

    \b
    nixeryd search python3
    nixeryd search python requests     both words
    """
    from nixeryd.cli.client import Client  # noqa: PLC0415  takes a moment

    query = urlencode({"q": " ".join(terms), "limit": limit, "describe": 1})
    found = Client(config, data_dir).get(f"/api/v1/search?{query}")["packages"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif found:
        click.echo("\n".join(map(one_line, _lines(found))))
    else:
        click.echo(f"no package has {' and '.join(terms)} in its name", err=True)
    return 0 if found else FAILED


def _lines(found: list[dict[str, Any]]) -> list[str]:
    names = max(len(package["name"]) for package in found)
    versions = max(len(package["version"]) for package in found)
    return [
        f"{package['name']:<{names}}  {package['version']:<{versions}}"
        f"  {package['description']}".rstrip()
        for package in found
    ]
