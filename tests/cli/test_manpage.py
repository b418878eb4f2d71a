"""The man page is made of the help, and whoever reads man pages has no complaint."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nixeryd.cli.commands import COMMANDS

MAKER = Path(__file__).parents[2] / "packaging" / "man.py"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    made = subprocess.run(
        [sys.executable, MAKER], check=True, capture_output=True, text=True
    )
    path = tmp_path_factory.mktemp("man") / "nixeryd.1"
    path.write_text(made.stdout)
    return path


def test_every_command_is_in_it(page):
    text = page.read_text()
    for name in COMMANDS:
        assert f".SS nixeryd {name}" in text


@pytest.mark.parametrize(
    "linter",
    [
        ["mandoc", "-T", "lint", "-W", "warning"],
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"],
    ],
    ids=lambda words: words[0],
)
def test_readers_have_no_complaint(page, linter):
    if not shutil.which(linter[0]):
        pytest.skip(f"not installed: {linter[0]}")
    done = subprocess.run(
        [*linter, str(page)], check=False, capture_output=True, text=True
    )
    complaints = done.stdout if linter[0] == "mandoc" else done.stderr
    assert (done.returncode, complaints) == (0, "")
