"""`nixeryd pull`: build or fetch images into the cache, and watch."""

import json
from pathlib import Path

import click

from nixeryd.cli.main import FAILED, settings_options


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME[:TAG]...")
@click.option(
    "--all-platforms",
    is_flag=True,
    help="Of other registries' images, not only what this machine runs.",
)
@click.option(
    "--fresh",
    is_flag=True,
    help="Evaluate built images now, whatever is remembered of them.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON event per line.")
@settings_options
def pull(  # noqa: PLR0913  each is an option
    names: tuple[str, ...],
    config: Path | None,
    data_dir: Path | None,
    *,
    all_platforms: bool,
    fresh: bool,
    as_json: bool,
) -> int:
    """Build images into the cache ahead of time, or fetch other registries'.

    \b
    nixeryd pull shell/python3
    nixeryd pull docker.io/library/nginx:1.27 ghcr.io/owner/app
    """
    from nixeryd.cli.client import Client  # noqa: PLC0415  takes a moment

    client = Client(config, data_dir)
    host = client.get("/api/v1/status")["listeners"]["main"][0]
    failed = False
    events = client.follow(
        "/api/v1/pull",
        {"names": list(names), "all_platforms": all_platforms, "fresh": fresh},
    )
    if as_json:
        for event in events:
            click.echo(json.dumps(event))
            failed |= event["type"] in ("error", "failed")
    else:
        from nixeryd.cli.show_build import show_builds  # noqa: PLC0415  rich is slow

        failed = not show_builds(events, host.replace("127.0.0.1", "localhost"))
    return FAILED if failed else 0
