"""Thin images: what is served, what is rooted, and for how long."""

import json
import subprocess
from pathlib import Path

import pytest

from nixeryd.builder import progress as events
from nixeryd.images.digests import Digest
from nixeryd.nix.roots import of_manifest
from tests.builder.conftest import open_builder
from tests.builder.test_builder import blobs_of

CLOSURE = "containerd.io/snapshot/nix-closure"
PACKAGES = (
    'deep = make "deep" "echo deep > $out";'
    ' one = make "one" "echo ${deep} > $out";'
    ' two = make "two" "echo two > $out";'
)


@pytest.fixture
def source(write_set):
    return write_set(f"inherit (rec {{ {PACKAGES} }}) deep one two;")


def closure_of(manifest) -> str:
    (layer,) = json.loads(manifest.body)["layers"]
    return layer["annotations"][CLOSURE]


def listed_in(closure: str) -> list[str]:
    return Path(closure, "store-paths").read_text().split()


def let_go_of_all_but_the_list(data: Path) -> None:
    (roots,) = (data / "gcroots").iterdir()
    for other in roots.glob("root*"):
        other.unlink()


def query(nix, *words: str) -> set[str]:
    said = subprocess.run(
        [nix.directory / "nix-store", "--query", *words],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**dict(nix.environment), "HOME": "/nowhere"},
    )
    return set(said.stdout.split())


def roots_in(nix, data: Path, path: str) -> set[str]:
    """Return our roots, as Nix knows them, that keep a path."""
    found = query(nix, "--roots", path)
    return {root for root in found if root.startswith(str(data))}


async def test_the_list_names_the_closure_and_refers_to_all_of_it(
    nix, source, tmp_path
):
    async with open_builder(nix, source, tmp_path / "data") as builder:
        manifest = await builder.manifest(("thin", "one"), "latest")
    closure = closure_of(manifest)
    listed = listed_in(closure)
    assert query(nix, "--references", closure) == {*listed}
    (one,) = (path for path in listed if path.endswith("-one"))
    assert query(nix, "--requisites", one) == {*listed}
    assert len(listed) == 2


async def test_one_root_keeps_the_image_whoever_else_lets_go(nix, source, tmp_path):
    data = tmp_path / "data"
    async with open_builder(nix, source, data) as builder:
        manifest = await builder.manifest(("thin", "one"), "latest")
        closure = closure_of(manifest)
        listed = listed_in(closure)
        let_go_of_all_but_the_list(data)
        for path in (closure, *listed):
            assert any("/closure" in root for root in roots_in(nix, data, path))
        builder._roots.release(of_manifest(str(manifest.digest)))
        for path in (closure, *listed):
            assert roots_in(nix, data, path) == set()


async def test_a_thin_image_without_its_root_is_made_again(nix, source, tmp_path):
    data = tmp_path / "data"
    async with open_builder(nix, source, data) as builder:
        manifest = await builder.manifest(("thin", "one"), "latest")
        builder._roots.release(of_manifest(str(manifest.digest)))
        assert await builder.manifest(("thin", "one"), "latest") == manifest
        assert roots_in(nix, data, closure_of(manifest))


async def test_a_thin_image_has_one_small_layer_and_no_content(nix, source, tmp_path):
    async with open_builder(nix, source, tmp_path / "data") as builder:
        thin = await builder.manifest(("thin", "one"), "latest")
        ordinary = await builder.manifest(("one",), "latest")
        config, layer = blobs_of(thin)
        labels = json.loads(builder.blob(config).path.read_bytes())["config"]["Labels"]
        assert layer not in blobs_of(ordinary)
    assert (
        "-v /nix/store:/nix/store:ro" in labels["org.opencontainers.image.description"]
    )
    assert labels["nixeryd.thin.closure"] == closure_of(thin)
    assert b"annotations" not in ordinary.body
    assert Digest.of(thin.body) == thin.digest


async def test_a_thin_image_of_another_architecture_comes_with_a_warning(
    nix, source, tmp_path
):
    async with open_builder(nix, source, tmp_path / "data") as builder:
        native = builder.policy.default_system
        other = "amd64" if native.startswith("aarch64") else "arm64"
        told = []
        async with builder.pull(("thin", other, "two"), "latest") as channel:
            told = [event async for event in channel]
    lines = [event.line for event in told if isinstance(event, events.LogLine)]
    assert any("emulation" in line for line in lines)
