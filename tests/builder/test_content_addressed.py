"""Content-addressed derivations: nobody knows where their outputs are until built."""

import tarfile
from dataclasses import replace
from uuid import uuid4

import pytest

from tests.builder.conftest import open_builder
from tests.builder.test_builder import blobs_of

SET = r"""
{ system }: let
  make = name: more: derivation ({
    inherit name system; salt = "SALT"; builder = "/bin/sh";
    args = [ "-euc" "echo ${name} > $out; [ -z \"\${man:-}\" ] || echo man > $man" ];
  } // more);
  floating = { __contentAddressed = true; outputHashMode = "recursive";
    outputHashAlgo = "sha256"; };
in rec {
  plain = make "plain" { };
  pages = make "pages" (floating // { outputs = [ "out" "man" ]; })
    // { meta.outputsToInstall = [ "out" "man" ]; };
  user = make "user" { dependency = pages; };
}
"""


@pytest.fixture
def ca_nix(nix):
    features = "experimental-features = ca-derivations"
    config = f"{nix.environment['NIX_CONFIG']}\n{features}\n"
    return replace(nix, environment={**nix.environment, "NIX_CONFIG": config})


@pytest.mark.parametrize("thin", [(), ("thin",)])
async def test_outputs_are_found_where_they_were_realised(ca_nix, tmp_path, thin):
    source = tmp_path / "set.nix"
    source.write_text(SET.replace("SALT", str(uuid4())))
    packages = (*thin, "pages", "plain", "user")
    async with open_builder(ca_nix, source, tmp_path / "data") as builder:
        manifest = await builder.manifest(packages, "latest")
        assert await builder.manifest(packages, "latest") == manifest
        names = set[str]()
        for digest in blobs_of(manifest)[1:]:
            with tarfile.open(builder.blob(digest).path) as layer:
                names.update(
                    name.removeprefix("nix/store/")[33:] for name in layer.getnames()
                )
    assert {"pages", "pages-man", "plain", "user"} <= names
