"""The `nixeryd` command, and what all its commands share.

Exit codes: 0 done, 1 failed, 2 wrong usage (click's own), 3 no daemon.
"""

import difflib
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from nixeryd import __version__
from nixeryd.cli import terminal
from nixeryd.cli.commands import COMMANDS
from nixeryd.images.errors import NixerydError

FAILED = 1
NO_DAEMON = 3
_INTERRUPTED = 130  # as a shell says of SIGINT


class _Lazy(click.Group):
    """Imports a command's module when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        import importlib  # noqa: PLC0415  only when needed

        module, _, name = COMMANDS[cmd_name].place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if near:
                hint = f"{error.message} Did you mean {near[0]!r}?"
                raise click.UsageError(hint, ctx) from None
            raise


@click.group(
    cls=_Lazy,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
)
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
    terminal.install()
    # https://no-color.org; without it click looks for a terminal.
    color = False if os.environ.get("NO_COLOR") else None
    try:
        status = cli.main(prog_name="nixeryd", standalone_mode=False, color=color)
        sys.stdout.flush()
    except click.ClickException as error:
        _fail(_explain(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(_INTERRUPTED)
    except NixerydError as error:
        _fail(str(error), getattr(error, "exit_code", FAILED))
    except BrokenPipeError:
        # The reader, such as head, has seen enough. Python would complain again
        # when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except OSError as error:
        _fail(str(error), FAILED)
    sys.exit(status if isinstance(status, int) else 0)


def _explain(error: click.ClickException) -> str:
    message = error.format_message()
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{message} See: {context.command_path} --help" if context else message


def _fail(message: str, status: int) -> NoReturn:
    with suppress(OSError):
        click.echo(f"nixeryd: {message}", err=True)
    sys.exit(status)


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
