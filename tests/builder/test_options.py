"""Overlays and nixpkgs' config are part of what an image is made of."""

from dataclasses import replace

from nixeryd.nix.options import Options
from tests.builder.conftest import open_builder

SET = """
{ system, config ? { }, overlays ? [ ] }:
let
  make = text: derivation {
    name = "word";
    inherit system;
    builder = "/bin/sh";
    args = [ "-c" "echo ${text} > $out" ];
  };
  base = { inherit make; word = make (config.text or "none"); };
in
builtins.foldl' (set: overlay: set // overlay set set) base overlays
"""


def use(builder, options):
    source = replace(builder._sources.default, options=options)
    builder._sources.change({"here": source}, "here")


async def pull(builder):
    return (await builder.manifest(("word",), "latest")).digest


async def test_an_edit_of_an_overlay_or_of_the_config_is_another_image(nix, tmp_path):
    source, overlay = tmp_path / "set", tmp_path / "overlay.nix"
    source.mkdir()
    (source / "default.nix").write_text(SET)
    overlay.write_text('self: super: { word = super.make "one"; }')
    async with open_builder(nix, source, tmp_path / "data", watch=True) as builder:
        plain = await pull(builder)
        use(builder, Options("here", '{"text": "other"}'))
        configured = await pull(builder)
        use(builder, Options("here", "", (overlay,)))
        first = await pull(builder)
        assert await pull(builder) == first
        overlay.write_text('self: super: { word = super.make "two"; }')
        second = await pull(builder)
        use(builder, Options("here"))
        assert await pull(builder) == plain
    assert len({plain, configured, first, second}) == 4
