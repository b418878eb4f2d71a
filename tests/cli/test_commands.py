import subprocess
import sys

import click
import pytest

from nixeryd.cli.commands import COMMANDS
from nixeryd.cli.main import cli

LIST = """\
import sys
from nixeryd.cli.main import cli
cli.main(["--help"], standalone_mode=False)
print(sorted(n for n in sys.modules if n.startswith("nixeryd.cli.")), file=sys.stderr)
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_listed_command_is_there_under_its_name(name):
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name


@pytest.mark.parametrize("name", COMMANDS)
def test_no_mark_of_the_help_is_shown(name):
    command = cli.get_command(click.Context(cli), name)
    assert "\\b" not in command.get_help(click.Context(command))
    assert "\b" not in command.get_help(click.Context(command))


def test_every_command_is_listed_whole_and_none_is_imported_for_it():
    listed = subprocess.run(
        [sys.executable, "-c", LIST], capture_output=True, text=True, check=True
    )
    for name, entry in COMMANDS.items():
        assert f"  {name}" in listed.stdout
        assert entry.help in listed.stdout
    imported = ["commands", "main", "terminal"]
    assert listed.stderr == f"{[f'nixeryd.cli.{name}' for name in imported]}\n"
