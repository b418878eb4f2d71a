"""`nixeryd config`: what is set, where it comes from, and whether it is right."""

import json
from pathlib import Path
from typing import Any

import click

from nixeryd.cli.main import settings_options
from nixeryd.cli.terminal import style

_WIDE = 44


@click.group()
def config() -> None:
    """Show, check and reload the configuration.

    \b
    nixeryd config show                every setting, and what set it
    nixeryd config path                where config.toml belongs
    nixeryd config check my.toml       whether a file is right
    nixeryd config reload              have the daemon read it again
    """


@config.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--running", is_flag=True, help="What the daemon uses now.")
@settings_options
def show(
    config: Path | None, data_dir: Path | None, *, as_json: bool, running: bool
) -> None:
    """Show every setting and what set it.

    That is what a daemon started here and now would use; --running asks the one
    that runs. The lines can be pasted into config.toml.
    """
    from nixeryd.config.origins import explain_settings  # noqa: PLC0415  only here

    if running:
        from nixeryd.cli.client import Client  # noqa: PLC0415  takes a moment

        found = Client(config, data_dir).get("/api/v1/config")
        rows = [(name, value, "the daemon's") for name, value in found.items()]
    else:
        flags = {"data_dir": str(data_dir)} if data_dir else {}
        settings = explain_settings(config, flags=flags)
        rows = [(one.name, one.value, one.origin) for one in settings]
    if as_json:
        listed = {name: {"value": v, "origin": o} for name, v, o in rows}
        plain = {name: v for name, v, _ in rows}
        click.echo(json.dumps(plain if running else listed, indent=2))
        return
    for name, value, origin in rows:  # lines that could stand in config.toml
        line = f"{name} = {_toml(value)}"
        note = style(f"# {origin}", dim=origin == "default", fg="cyan")
        click.echo(f"{line:<44}{note}" if len(line) < _WIDE else f"{line}  {note}")


@config.command()
def path() -> None:
    """Print where config.toml belongs; it need not exist."""
    from nixeryd.config import paths  # noqa: PLC0415  only here

    click.echo(paths.config_file())


@config.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
def check(file: Path | None) -> None:
    """Return whether a configuration is right.

    FILE is read as serve would; without it, the user's config.toml.
    """
    from nixeryd.config import paths  # noqa: PLC0415  only here
    from nixeryd.config.settings import load_settings  # noqa: PLC0415

    load_settings(file)
    place = file or paths.config_file()
    there = place.exists()
    click.echo(f"{place} is right" if there else f"{place} is not there: all defaults")


@config.command(name="reload")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@settings_options
def reload_(config: Path | None, data_dir: Path | None, *, as_json: bool) -> None:
    """Have the daemon read it again.

    No connection is dropped. Settings that need a restart are named.
    """
    from nixeryd.cli.client import Client  # noqa: PLC0415  takes a moment

    outcome = Client(config, data_dir).post("/api/v1/reload")
    if as_json:
        click.echo(json.dumps(outcome, indent=2))
        return
    for name in outcome["changed"]:
        click.echo(f"{name} is in force")
    for name in outcome["needs_restart"]:
        click.echo(f"{name} needs a restart")
    if not outcome["changed"] and not outcome["needs_restart"]:
        click.echo("nothing has changed")


def _toml(value: Any) -> str:
    # Strings, numbers, booleans and lists of these look alike in TOML and JSON.
    return json.dumps(value, ensure_ascii=False)
