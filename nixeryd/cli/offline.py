"""`nixeryd offline`: tell the running daemon to leave the network alone."""

from pathlib import Path

import click

from nixeryd.cli.main import settings_options


@click.command()
@click.argument(
    "switch", type=click.Choice(["on", "off"]), metavar="[on|off]", required=False
)
@settings_options
def offline(switch: str | None, config: Path | None, data_dir: Path | None) -> None:
    """Turn offline mode on or off, or show whether it is on.

    \b
    nixeryd offline        say whether the daemon uses the network
    nixeryd offline on     serve what is here, and ask no other registry
    nixeryd offline off
    """
    from nixeryd.cli.client import Client  # noqa: PLC0415  takes a moment

    client = Client(config, data_dir)
    if switch is not None:
        client.post("/api/v1/offline", {"offline": switch == "on"})
    why = client.get("/api/v1/status")["offline"]
    click.echo(f"offline: {why}" if why else "online")
