import platform
from pathlib import Path
from uuid import uuid4

import pytest


@pytest.fixture(scope="session")
def sets() -> Path:
    """A package set of what goes wrong, and of what is named oddly."""
    return Path(__file__).parent / "sets"


@pytest.fixture(scope="session")
def system() -> str:
    return f"{platform.machine()}-linux"


@pytest.fixture
def salted(tmp_path):
    """Write a package set that no store has seen before; gives its path.

    `make NAME SCRIPT` is a package that is not built yet.
    """

    def write(packages: str) -> Path:
        file = tmp_path / "salted.nix"
        file.write_text(
            "{ system }: let make = name: script: derivation {"
            f' inherit name system; salt = "{uuid4()}"; builder = "/bin/sh";'
            ' args = [ "-euc" "${script}\\n: > $out" ]; };'
            f" in {{ {packages} }}"
        )
        return file

    return write
