import subprocess
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from nixeryd.images.errors import NixerydError
from nixeryd.layers.thin import list_archive
from nixeryd.nix.closurelist import list_closure


@pytest.fixture
def stored(nix, tmp_path) -> str:
    """A store path that no store has seen, and that refers to nothing."""
    file = tmp_path / "file"
    file.write_text(str(uuid4()))
    command = [nix.directory / "nix-store", "--add", file]
    return subprocess.check_output(command, text=True).strip()


def references(nix, path: str) -> list[str]:
    command = [nix.directory / "nix-store", "--query", "--references", path]
    return subprocess.check_output(command, text=True).split()


def read_list(listed: str) -> str:
    return Path(listed, "store-paths").read_text()


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


@pytest.mark.parametrize("sandbox", ["false", "true"])
async def test_nix_finds_the_references_with_a_sandbox_and_without(
    nix, stored, tmp_path, sandbox
):
    roots = tmp_path / "roots"
    roots.mkdir()
    boxed = replace(nix, options=(*nix.options, "--option", "sandbox", sandbox))
    listed = await list_closure(boxed, [stored], list_archive([stored]), roots)
    assert read_list(listed) == f"{stored}\n"
    assert references(nix, listed) == [stored]
    assert names_in(roots) == ["closure"]


async def test_what_is_not_in_the_store_is_not_listed(nix, tmp_path):
    path = f"/nix/store/{'0' * 32}-nothing"
    with pytest.raises(NixerydError, match=f"(?s)cannot be listed: .*{path}"):
        await list_closure(nix, [path], list_archive([path]), tmp_path)
