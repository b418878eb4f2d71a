# ruff: noqa: RUF001  nixpkgs quotes with typographic marks
"""What a source gives its nixpkgs, and what is said of packages that it refuses."""

import json

import pytest

from nixeryd.nix.evaluate import EvaluationFailed, evaluate
from nixeryd.nix.options import Options
from nixeryd.nix.packageset import PackageSet

UNFREE = """Package ‘vscode-1.95.2’ in /src/vscode.nix:87 has an unfree license \
(‘unfree’), refusing to evaluate.
a) To temporarily allow unfree packages, you can use an environment variable
   for a single invocation of the nix tools.
     $ export NIXPKGS_ALLOW_UNFREE=1
c) For `nix-env` you can add
  { allowUnfree = true; }
to ~/.config/nixpkgs/config.nix."""
INSECURE = """Package ‘openssl-1.1.1w’ in /src/openssl.nix:247 is marked as insecure, \
refusing to evaluate.
Known issues:
 - OpenSSL 1.1 is reaching its end of life
You can install it anyway by allowing this package, using the
following methods:
a) To temporarily allow all insecure packages, you can use an environment
   variable"""
BROKEN = "Package ‘x-1’ in /src/x.nix:3 is marked as broken, refusing to evaluate."
PLATFORM = "Package ‘x-1’ in /x.nix:3 is not available on the requested hostPlatform:"
OLD_PLATFORM = "Package ‘x-1’ in /x.nix:3 is not supported on ‘aarch64-linux’, refusing"


@pytest.mark.parametrize(
    ("message", "setting", "kept"),
    [
        (UNFREE, "allowUnfree = true", "has an unfree license"),
        (
            INSECURE,
            'permittedInsecurePackages = ["openssl-1.1.1w"]',
            "OpenSSL 1.1 is reaching its end of life",
        ),
        (BROKEN, "allowBroken = true", "is marked as broken"),
        (PLATFORM, "allowUnsupportedSystem = true", "hostPlatform"),
        (OLD_PLATFORM, "allowUnsupportedSystem = true", "aarch64-linux"),
    ],
)
def test_a_refused_package_says_which_line_allows_it(message, setting, kept):
    said = Options("work").how_to_allow(message)
    assert said.endswith(f"below [sources.work]: config = {{ {setting} }}")
    assert kept in said
    assert "NIXPKGS_ALLOW" not in said
    assert ".config/nixpkgs" not in said


def test_what_fails_otherwise_is_left_as_it_is():
    assert Options("work").how_to_allow("attribute 'x' missing") is None


def test_a_fingerprint_is_marked_by_what_is_set():
    marks = [
        Options("a").mark("f"),
        Options("a", '{"allowUnfree": true}').mark("f"),
        Options("a", '{"allowUnfree": false}').mark("f"),
        Options("a", overlays=("/a.nix",)).mark("f"),
        Options("a", overlays=("/b.nix", "/a.nix")).mark("f"),
        Options("a", overlays=("/a.nix", "/b.nix")).mark("f"),
    ]
    assert marks[0] == "f"
    assert len(set(marks)) == len(marks)


NIXPKGS = """
{ system, config ? { }, overlays ? [ ] }:
let
  make = name: derivation { inherit name system; builder = "/bin/sh"; };
  base = self: {
    free = make "free";
    unfree =
      if config.allowUnfree or false then make "unfree"
      else throw "Package ‘unfree-1’ in x.nix:1 has an unfree license, refusing";
  };
  extend = super: overlay: super // overlay (fix) super;
  fix = builtins.foldl' extend (base fix) overlays;
in fix
"""


@pytest.fixture
def nixpkgs(tmp_path):
    (tmp_path / "default.nix").write_text(NIXPKGS)
    return tmp_path


async def names(nix, found, system, *packages):
    evaluation = await evaluate(nix, found, packages, system)
    return [package.name for package in evaluation.packages]


async def test_config_and_overlays_reach_the_set(nix, system, nixpkgs, tmp_path):
    overlay = tmp_path / "overlays" / "a.nix"
    overlay.parent.mkdir()
    overlay.write_text("self: super: { free = super.unfree; twice = self.free; }")
    options = Options("work", json.dumps({"allowUnfree": True}), (overlay,))
    found = PackageSet(nixpkgs, options=options)
    assert await names(nix, found, system, "free", "twice") == ["unfree", "unfree"]
    restricted = PackageSet(nixpkgs, only=nixpkgs, options=options)
    assert await names(nix, restricted, system, "free") == ["unfree"]


async def test_without_config_the_set_refuses_and_says_what_to_write(
    nix, system, nixpkgs
):
    found = PackageSet(nixpkgs, options=Options("work"))
    with pytest.raises(EvaluationFailed, match=r"config = \{ allowUnfree = true \}"):
        await names(nix, found, system, "unfree")


@pytest.mark.parametrize(
    "source", ["{ free = 1; }", "{ system }: { free = 1; }", "{ }: { free = 1; }"]
)
async def test_options_without_effect_are_an_error(nix, system, tmp_path, source):
    (tmp_path / "default.nix").write_text(source)
    options = Options("work", json.dumps({"allowUnfree": True}))
    with pytest.raises(EvaluationFailed, match="takes no"):
        await names(nix, PackageSet(tmp_path, options=options), system, "free")
