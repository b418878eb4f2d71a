"""Write nixeryd(1) from the command line's own help, so that they can't differ.

    python packaging/man.py > nixeryd.1

Plain man(7) macros, which groff and mandoc both read.
"""

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from os import environ

import click

from nixeryd import __version__
from nixeryd.cli.main import cli

EXIT = {
    "0": "Done.",
    "1": "Failed; one line on standard error says why.",
    "2": "Wrong usage.",
    "3": "No daemon answers.",
}
FILES = {
    "~/.config/nixeryd/config.toml": "Settings; nixeryd config show lists all.",
    "~/.config/nixeryd/environment": "Variables for the systemd service.",
    "~/.local/share/nixeryd/": "Blobs, the index, build logs, GC roots.",
    "$XDG_RUNTIME_DIR/nixeryd/admin.sock": "Where the commands reach the daemon.",
}
ENVIRONMENT = {
    "NIXERYD_*": "Every setting, such as NIXERYD_LISTEN for listen.",
    "NO_COLOR": "No colours, whatever it is set to.",
    "XDG_CONFIG_HOME, XDG_DATA_HOME, XDG_RUNTIME_DIR": "Where the files above are.",
}


def escape(text: str) -> str:
    """Make text mean itself to roff."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq")
    return re.sub(r"(?m)^\.", r"\\&.", text)


def wrap(text: str) -> str:
    """Keep the lines of the source short, as roff's linters want."""
    return "\n".join(map(escape, textwrap.wrap(" ".join(text.split()), 72)))


def paragraphs(text: str) -> Iterator[str]:
    """Give macros for a docstring as click reads it: a backspace keeps lines apart."""
    for part in inspect.cleandoc(text).split("\n\n"):
        if part.startswith("\b"):
            yield ".nf\n" + escape(part[1:].strip("\n")) + "\n.fi"
        else:
            yield wrap(part)


def spaced(text: str) -> Iterator[str]:
    """Put a macro between paragraphs, and none before the first."""
    for index, part in enumerate(paragraphs(text)):
        yield f".PP\n{part}" if index else part


def options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record and parameter.name != "help" and isinstance(parameter, click.Option):
            yield f".TP\n.B {escape(record[0])}\n{wrap(record[1]) or '.'}"


def commands(
    group: click.Command, context: click.Context
) -> Iterator[tuple[click.Command, click.Context]]:
    """Give all commands below, depth first."""
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        yield command, inner
        yield from commands(command, inner)


def page() -> Iterator[str]:
    epoch = int(environ.get("SOURCE_DATE_EPOCH", datetime.now(UTC).timestamp()))
    day = datetime.fromtimestamp(epoch, UTC).date()
    context = click.Context(cli, info_name="nixeryd")
    summary = next(paragraphs(cli.help or ""))
    yield f'.TH NIXERYD 1 "{day}" "nixeryd {__version__}" "User Commands"'
    yield f".SH NAME\nnixeryd \\- {summary[0].lower()}{summary[1:].rstrip('.')}"
    yield ".SH SYNOPSIS\n.B nixeryd\n.I COMMAND\n[\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]"
    yield ".SH DESCRIPTION"
    yield from spaced(cli.help or "")
    yield ".SH COMMANDS"
    for command, inner in commands(cli, context):
        usage = " ".join(command.collect_usage_pieces(inner))
        yield f".SS {escape(inner.command_path)} {escape(usage)}"
        yield from spaced(command.help or "")
        yield from options(command, inner)
    for title, table in (
        ("EXIT STATUS", EXIT),
        ("FILES", FILES),
        ("ENVIRONMENT", ENVIRONMENT),
    ):
        yield f".SH {title}"
        for name, text in table.items():
            yield f".TP\n.B {escape(name)}\n{wrap(text)}"
    yield ".SH SEE ALSO\n.BR nix (1),\n.BR skopeo (1),\n.BR podman (1)"


if __name__ == "__main__":
    sys.stdout.write("\n".join(page()) + "\n")
