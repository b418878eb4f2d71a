"""The `nixeryd` command, and what all its commands share.

Exit codes: 0 done, 1 failed, 2 wrong usage (click's own), 3 no daemon.
"""

import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from nixeryd import __version__
from nixeryd.images.errors import NixerydError

FAILED = 1
NO_DAEMON = 3

_COMMANDS = {
    "serve": "nixeryd.cli.serve:serve",
    "pull": "nixeryd.cli.pull:pull",
    "search": "nixeryd.cli.search:search",
    "status": "nixeryd.cli.status:status",
    "setup": "nixeryd.cli.setup:setup",
    "config": "nixeryd.cli.config:config",
    "offline": "nixeryd.cli.offline:offline",
    "service": "nixeryd.cli.service:service",
    "doctor": "nixeryd.cli.doctor:doctor",
}


class _Lazy(click.Group):
    """Imports a command's module when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        import importlib  # noqa: PLC0415  only when needed

        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nixeryd", message="%(prog)s %(version)s")
def cli() -> None:
    """Serve your Nix store as a container registry, and mirror the others.

    \b
    nixeryd serve                              start the daemon
    docker run -it localhost:5000/shell/git    build an image by its name, run it
    nixeryd pull shell/python3                 build it ahead, and watch
    """


def main() -> NoReturn:
    """Run the command; an error that a person can act on is one line."""
    try:
        status = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except NixerydError as error:
        click.echo(f"nixeryd: {error}", err=True)
        sys.exit(getattr(error, "exit_code", FAILED))
    sys.exit(status if isinstance(status, int) else 0)


def settings_options(command: Any) -> Any:
    """Add the options that say which daemon is meant."""
    for option in (
        click.option(
            "--data-dir",
            type=click.Path(path_type=Path),
            help="Where blobs and index are.",
        ),
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            help="Another configuration file.",
        ),
    ):
        command = option(command)
    return command
