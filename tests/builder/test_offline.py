"""Pulls without a network."""

import hashlib
from dataclasses import replace
from uuid import uuid4

import pytest

from nixeryd.images.errors import RegistryError
from nixeryd.runtime.offline import Offline
from tests.builder.conftest import open_builder


@pytest.fixture
def content():
    return f"downloaded {uuid4()}"


@pytest.fixture
def source(tmp_path, content):
    directory = tmp_path / "checkout"
    directory.mkdir()
    (directory / "default.nix").write_text(f"""{{ system }}: rec {{
      there = derivation {{
        name = "there"; inherit system; salt = "{content}";
        builder = "/bin/sh"; args = [ "-c" "echo > $out" ];
      }};
      fetched = derivation {{
        name = "fetched"; system = "builtin"; builder = "builtin:fetchurl";
        url = "http://192.0.2.1/"; urls = [ ]; unpack = false; executable = false;
        outputHash = "{hashlib.sha256(content.encode()).hexdigest()}";
        outputHashAlgo = "sha256"; outputHashMode = "flat";
      }};
    }}""")
    return directory


async def test_what_is_there_is_served_and_what_is_not_is_told(
    nix, source, content, tmp_path
):
    nix = replace(nix, offline=Offline(told=True))
    async with open_builder(nix, source, tmp_path / "data", watch=True) as builder:
        assert await builder.manifest(("there",), "latest")
        for _ in range(2):
            with pytest.raises(RegistryError, match=r"1 store path is missing") as told:
                await builder.manifest(("fetched",), "latest")
            assert told.value.status == 403
        # It comes by other ways than ours, such as a USB stick: no restart, no edit.
        (tmp_path / "fetched").write_text(content)
        add = ["nix-store", "--add-fixed", "sha256", str(tmp_path / "fetched")]
        await nix.run(add)
        assert await builder.manifest(("fetched",), "latest")
