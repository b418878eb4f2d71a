"""`nixeryd service`: have systemd or launchd run the daemon for this user."""

import getpass
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from nixeryd.cli.terminal import style
from nixeryd.config import paths
from nixeryd.config.settings import load_settings
from nixeryd.images.errors import NixerydError
from nixeryd.setup.service import files, launchd, systemd
from nixeryd.setup.service.plan import Plan, kept_environment

_IS_MAC = sys.platform == "darwin"
_LINGER = "loginctl enable-linger"


@click.group()
def service() -> None:
    """Have systemd or launchd run the daemon.

    \b
    nixeryd service install       from now on it starts when somebody asks
    nixeryd service status        what the service manager says of it
    nixeryd service uninstall     take it away again; images stay
    journalctl --user -u nixeryd  what it logs
    """


@service.command()
@click.option(
    "--config", type=click.Path(path_type=Path), help="The daemon's config.toml."
)
@click.option("--dry-run", "-n", is_flag=True, help="Only show what would be written.")
def install(config: Path | None, *, dry_run: bool) -> int:
    """Install it for this user, and start it.

    The units get this shell's PATH, NIX_PATH and the like.
    Call it again when these have changed, or `listen` in config.toml.
    """
    plan = _plan(config)
    if dry_run:
        for path, text in plan.files.items():
            click.echo(style(f"# {path}", bold=True))
            click.echo(text)
        return 0
    files.write(plan.files)
    for path in plan.files:
        click.echo(f"wrote {path}")
    if not _is_managed():
        _say(
            "no service manager runs for you here; where one does, type:",
            map(shlex.join, plan.start),
        )
        return 0
    _run_all(plan.start)
    click.echo("nixeryd is there when somebody asks; see `nixeryd status`")
    if not _IS_MAC and not _lingers():
        _say(
            "it ends when you log out; to keep it:",
            [f"{_LINGER} {getpass.getuser()}"],
        )
    return 0


@service.command()
def uninstall() -> int:
    """Stop it and remove what install wrote.

    Images and settings stay.
    """
    plan = _plan(None)
    own = [launchd.agent_file()] if _IS_MAC else systemd.own_files()
    if not any(path.exists() for path in own):
        click.echo("nothing is installed")
        return 0
    if _is_managed():
        _run_all(plan.stop[:1])
    for path in files.remove(own):
        click.echo(f"removed {path}")
    if _is_managed():
        _run_all(plan.stop[1:])
    return 0


@service.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(*, as_json: bool) -> None:
    """Show whether it is installed and runs."""
    own = [launchd.agent_file()] if _IS_MAC else systemd.own_files()
    there = [str(path) for path in own if path.exists()]
    is_managed, lingers = _is_managed(), _IS_MAC or _lingers()
    units = {}
    if is_managed and not _IS_MAC:
        units = {unit: _unit_state(unit) for unit in systemd.UNITS}
    if as_json:
        found = {
            "files": there,
            "manager": is_managed,
            "lingering": lingers,
            "units": units,
        }
        click.echo(json.dumps(found, indent=2))
        return
    for unit, state in units.items():
        click.echo(f"{unit:<23}{state}")
    if not is_managed:
        click.echo("no service manager runs for this user here")
    if not there:
        click.echo("not installed; to do so: nixeryd service install")
    elif not lingers:
        click.echo(f"ends at logout; to keep it: {_LINGER} {getpass.getuser()}")


def _plan(config: Path | None) -> Plan:
    settings = load_settings(config)
    program = shutil.which(sys.argv[0]) or sys.argv[0]
    command = [str(Path(program).absolute()), "serve"]
    if config is not None:
        command.append(f"--config={config.absolute()}")
    environment = kept_environment()
    if _IS_MAC:
        return launchd.plan_agent(command, environment)
    return systemd.plan_units(paths.units_dir(), command, settings, environment)


def _is_managed() -> bool:
    if _IS_MAC:
        return shutil.which("launchctl") is not None
    return systemd.is_managed() and shutil.which("systemctl") is not None


def _run_all(commands: Iterable[Sequence[str]]) -> None:
    for command in commands:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise NixerydError(f"{shlex.join(command)} failed: {said}")


def _unit_state(unit: str) -> str:
    words = []
    for question in ("is-enabled", "is-active"):
        command = ["systemctl", "--user", question, unit]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        words.append(done.stdout.strip() or "unknown")
    return ", ".join(words)


def _lingers() -> bool:
    return Path("/var/lib/systemd/linger", getpass.getuser()).exists()


def _say(what: str, lines: Iterable[str]) -> None:
    click.echo(what)
    for line in lines:
        click.echo(f"  {line}")
