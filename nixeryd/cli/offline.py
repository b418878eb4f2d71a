"""`nixeryd offline`: tell the running daemon to leave the network alone."""

from pathlib import Path

import click

from nixeryd.cli.main import settings_options


@click.command()
@click.argument("switch", type=click.Choice(["on", "off"]), metavar="on|off")
@settings_options
def offline(switch: str, config: Path | None, data_dir: Path | None) -> None:
    """Ask no other registry anything, or do again.

    \b
    nixeryd offline on     what was pulled once is served; all else is not found
    nixeryd offline off
    """
    from nixeryd.cli.client import Client  # noqa: PLC0415  takes a moment

    body = {"offline": switch == "on"}
    Client(config, data_dir).post("/api/v1/offline", body)
