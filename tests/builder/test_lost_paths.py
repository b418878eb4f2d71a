"""What is deleted by force in mid-build: built again, or a clear error; no wrong layer.

Only paths that these tests made themselves are deleted.
"""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from nixeryd.builder import build as building
from nixeryd.images.errors import RegistryError
from nixeryd.nix.closure import query_closure
from tests.builder.conftest import open_builder

SET = (
    'two = make "two-files" "echo x >> ${ran};'
    ' /bin/mkdir $out; echo one > $out/one; echo two > $out/two";'
)


@pytest.fixture
async def builder(nix, write_set, tmp_path):
    async with open_builder(nix, write_set(SET), tmp_path / "data") as builder:
        yield builder


@pytest.fixture
def after_the_build(monkeypatch):
    """Do something to a path right before it is packed, and say how often."""

    def plan(do, times):
        async def and_then(nix, outputs):
            nonlocal times
            closure = await query_closure(nix, outputs)
            if times:
                times -= 1
                do(*outputs)
            return closure

        monkeypatch.setattr(building, "query_closure", and_then)

    return plan


def delete(nix, path):
    """Delete a path as Nix does, though it is rooted."""
    command = [nix.directory / "nix-store", "--delete", "--ignore-liveness", path]
    subprocess.run(
        [*command, *nix.options], check=True, capture_output=True, env=nix.environment
    )


def files(builder, manifest):
    found = {}
    for layer in builder._index.manifest(manifest.digest).blobs:
        data = builder._blobs.read(layer)
        if data.startswith(b"{"):
            continue  # the config
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            found |= {
                member.name.rpartition("/")[2]: archive.extractfile(member).read()
                for member in archive
                if member.isreg()
            }
    return found


async def test_a_path_that_is_deleted_before_it_is_packed_is_built_again(
    builder, nix, after_the_build, tmp_path
):
    after_the_build(lambda path: delete(nix, path), 1)
    manifest = await builder.manifest(("two",), "latest")
    assert files(builder, manifest) == {"one": b"one\n", "two": b"two\n"}
    assert (tmp_path / "ran").read_text() == "x\nx\n"


async def test_a_path_of_which_a_file_is_gone_makes_no_layer(
    builder, after_the_build, nix
):
    damaged = []

    def damage(path):
        damaged[:] = [Path(path)]
        Path(path).chmod(0o755)
        Path(path, "two").unlink(missing_ok=True)

    after_the_build(damage, 9)
    with pytest.raises(RegistryError, match=r"NAR has \d+ bytes, not \d+.*repair-path"):
        await builder.manifest(("two",), "latest")
    # It is not remembered as failed: Nix builds it anew once it knows.
    after_the_build(damage, 0)
    shutil.rmtree(damaged[0])
    with pytest.raises(RegistryError, match=r"No such file.*garbage-collected"):
        await builder.manifest(("two",), "latest")
    delete(nix, damaged[0])
    manifest = await builder.manifest(("two",), "latest")
    assert files(builder, manifest) == {"one": b"one\n", "two": b"two\n"}
