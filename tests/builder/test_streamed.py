"""Streamed layers: the image is the same, and its store paths stay with it."""

import json
from functools import partial

import pytest

from nixeryd.images.errors import RegistryError
from nixeryd.images.served_manifests import BlobFile
from nixeryd.nix.roots import of_manifest
from nixeryd.store.recovery import recover
from nixeryd.store.streaming import StreamedBlob
from tests.builder.conftest import open_builder
from tests.builder.test_builder import blobs_of
from tests.builder.test_thin import roots_in

PACKAGES = 'one = make "one" "echo one > $out";'


@pytest.fixture
def source(write_set):
    return write_set(PACKAGES)


@pytest.fixture
def streaming(nix, source, tmp_path):
    """Open a builder that streams; the same data directory each time."""
    return partial(open_builder, nix, source, tmp_path / "data", stream=True)


async def pull(builder, name="one"):
    return await builder.manifest((name,), "latest")


def layers_of(manifest):
    return blobs_of(manifest)[1:]


def store_path(builder, manifest):
    (path,) = builder._index.layer_paths(layers_of(manifest)[0])
    return path


async def test_packed_and_streamed_images_are_the_same(
    nix, demo_source, tmp_path, streaming
):
    manifests = []
    for stream in (False, True):
        place = tmp_path / str(stream)
        async with open_builder(nix, demo_source, place, stream=stream) as builder:
            manifest = await pull(builder, "python3")
            manifests.append(manifest)
            kinds = {type(builder.blob(layer)) for layer in layers_of(manifest)}
            assert kinds == {StreamedBlob if stream else BlobFile}
            kept = sum(path.stat().st_size for path in place.rglob("sha256/*/*"))
            size = sum(one["size"] for one in json.loads(manifest.body)["layers"])
            assert (kept < size / 20) is stream
    assert manifests[0] == manifests[1]


async def test_an_image_is_streamed_and_packed_as_it_was_made_first(
    nix, source, tmp_path, streaming
):
    async with streaming() as builder:
        first = await pull(builder)
    async with open_builder(nix, source, tmp_path / "data") as builder:
        assert await pull(builder) == first
        assert isinstance(builder.blob(layers_of(first)[0]), StreamedBlob)


@pytest.mark.parametrize("keep", [True, False])
async def test_its_paths_are_rooted_until_the_manifest_goes(
    nix, tmp_path, streaming, keep
):
    async with streaming(keep=keep) as builder:
        manifest = await pull(builder)
        path = store_path(builder, manifest)
    assert roots_in(nix, tmp_path / "data", path)
    async with streaming(keep=keep) as builder:
        # `open_builder` sweeps roots, as a daemon does for manifests that are gone.
        assert not roots_in(nix, tmp_path / "data", path)
        assert await pull(builder) == manifest
        assert roots_in(nix, tmp_path / "data", path)
        builder._roots.release(of_manifest(str(manifest.digest)))
        assert not roots_in(nix, tmp_path / "data", path)


async def test_a_path_that_is_gone_is_an_unknown_blob_until_the_next_pull_by_tag(
    nix, streaming
):
    async with streaming() as builder:
        manifest = await pull(builder)
        layer = layers_of(manifest)[0]
        path = store_path(builder, manifest)
        builder._roots.release(of_manifest(str(manifest.digest)))
        await nix.run(["nix-store", "--delete", path])
        with pytest.raises(RegistryError, match=rf"{path}.*pull its image by tag"):
            await builder.blob(layer).require()
        with pytest.raises(RegistryError, match="pull its image by tag"):
            builder.blob(layer)
        assert await pull(builder) == manifest
        await builder.blob(layer).require()


async def test_an_image_whose_roots_are_lost_is_made_again_before_it_is_missed(
    nix, streaming
):
    async with streaming() as builder:
        manifest = await pull(builder)
        builder._roots.release(of_manifest(str(manifest.digest)))
        await nix.run(["nix-store", "--delete", store_path(builder, manifest)])
        assert await pull(builder) == manifest
        await builder.blob(layers_of(manifest)[0]).require()


async def test_a_layer_that_is_lost_is_made_again(streaming):
    async with streaming() as builder:
        manifest = await pull(builder)
        layer = layers_of(manifest)[0]
        recipe = builder.blob(layer).recipe.path
        before = recipe.read_bytes()
        recipe.write_bytes(before[: len(before) // 2])
        with pytest.raises(RegistryError, match="pull its image by tag"):
            builder.blob(layer)
        assert await pull(builder) == manifest
        await builder.blob(layer).require()


async def test_an_index_that_is_lost_knows_streamed_images_again(streaming):
    async with streaming() as builder:
        manifest = await pull(builder)
    (index,) = (builder._blobs.path(manifest.digest).parents[3]).glob("index.sqlite")
    index.unlink()
    async with streaming() as builder:
        assert recover(builder._blobs, builder._index) == 1
        assert await builder.manifest(("one",), manifest.digest) == manifest
        assert await pull(builder) == manifest


async def test_thin_images_are_as_they_were(nix, source, tmp_path, streaming):
    async with streaming() as builder:
        streamed = await builder.manifest(("thin", "one"), "latest")
    async with open_builder(nix, source, tmp_path / "other") as builder:
        assert await builder.manifest(("thin", "one"), "latest") == streamed
