"""The map in CONTRIBUTING.md is that of the code."""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAP = (ROOT / "CONTRIBUTING.md").read_text()
MOST = 18  # packages: a map that can be kept in mind


def layers():
    """Return the layers that lint-imports holds, from the top."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    return next(one["layers"] for one in contracts if one["type"] == "layers")


def docstring(package):
    text = (ROOT / "nixeryd" / package / "__init__.py").read_text()
    return ast.get_docstring(ast.parse(text))


def test_the_map_shows_the_layers():
    assert "```\n" + "\n".join(layers()) + "\n```" in MAP


def test_the_map_says_of_each_package_what_its_docstring_says():
    packages = [name for layer in layers() for name in layer.split(" | ")]
    assert len(packages) <= MOST
    rows = re.findall(r"^\| `(\w+)/` \| (.*) \|$", MAP, re.MULTILINE)
    assert rows[: len(packages)] == [
        (package, docstring(package).partition("\n")[0]) for package in packages
    ]


def test_nothing_is_loose_beside_the_packages():
    loose = {path.name for path in (ROOT / "nixeryd").iterdir() if path.is_file()}
    assert loose <= {"__init__.py", "__main__.py", "py.typed"}
