"""Images for a user whom the Nix daemon does not trust, the normal case."""

import os
import shutil
from uuid import uuid4

import pytest

from nixeryd.nix.roots import of_manifest
from tests.builder.conftest import open_builder
from tests.builder.test_builder import blobs_of
from tests.nix.daemon import UNTRUSTED, nix_daemon, nix_of_user, place_of_all

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("nix-daemon"),
    reason="needs root and nix-daemon",
)
SET = """{ system }: let
  make = name: script: derivation { inherit name system; salt = "SALT";
    builder = "/bin/sh"; args = [ "-c" script ]; };
  deep = make "deep" "echo deep > $out";
in { one = make "one" "echo ${deep} > $out"; }"""


async def test_ordinary_thin_and_streamed_images_are_made(nix, tmp_path):
    settings = {"substitute": "false", "build-users-group": "", "sandbox": "false"}
    with place_of_all() as place, nix_daemon(place, settings) as daemon:
        user_nix = nix_of_user(nix, UNTRUSTED, daemon, place)
        source = place / "set.nix"
        source.write_text(SET.replace("SALT", str(uuid4())))
        data = place / "data"
        async with open_builder(user_nix, source, data, stream=True) as builder:
            made = await builder.manifest(("one",), "latest")
            thin = await builder.manifest(("thin", "one"), "latest")
            assert all(builder.blob(digest).size for digest in blobs_of(made))
            assert builder._roots.holds_all(of_manifest(str(made.digest)))
            assert builder._roots.holds_all(of_manifest(str(thin.digest)))
