"""Streamed blobs: the packed bytes, or nothing that a client could take for them."""

import os
import resource
import shutil
import time
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given, settings, strategies as st

from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.layers.recipe_format import TICK
from nixeryd.store.blobs import Blobs
from nixeryd.store.datadir import open_data_dir
from nixeryd.store.recipe import LostContent
from nixeryd.store.recipes import Recipes
from nixeryd.store.streaming import BATCH, StreamedBlob
from tests.store.layers import let_clock_tick, make_layer


@pytest.fixture
def blobs(tmp_path):
    with open_data_dir(tmp_path / "data") as places:
        yield Blobs(places.blobs, places.staging)


@pytest.fixture
def layer(tmp_path):
    return make_layer(tmp_path / "store" / "abc-package")


@pytest.fixture
def blob(blobs, layer):
    digest = layer.record(blobs)
    return StreamedBlob(blobs.recipes, blobs.find(digest))


async def read(blob, part=None, between=lambda: None):
    """Take a part, or all, as the web layer does; `between` is called before each."""
    async with blob.open(range(blob.size) if part is None else part) as stream:
        return await take_all(stream, between)


async def take_all(stream, between=lambda: None):
    found = bytearray()
    while piece := await stream.arrive():
        if isinstance(piece, range):
            found += os.pread(stream.fd, len(piece), piece.start)
        else:
            assert len(piece) < 2 * BATCH
            found += piece
        between()
    return bytes(found)


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def hashings(blob, monkeypatch):
    """Return a list that grows with each time that all of it is hashed."""
    hashed = []
    is_right = type(blob.recipe).is_right

    def noted(recipe, checkpoint):
        hashed.append(recipe.digest)
        return is_right(recipe, checkpoint)

    monkeypatch.setattr(type(blob.recipe), "is_right", noted)
    return hashed


async def test_all_of_it_is_what_was_packed(blob, layer):
    assert await read(blob) == layer.whole
    await blob.require()


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """A layer that no test changes, and its blob."""
    place = tmp_path_factory.mktemp("still")
    layer = make_layer(place / "store" / "abc-package")
    with open_data_dir(place / "data") as places:
        blobs = Blobs(places.blobs, places.staging)
        digest = layer.record(blobs)
        yield layer, StreamedBlob(blobs.recipes, blobs.find(digest))


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_any_range_is_that_of_the_packed_layer(still, data):
    layer, blob = still
    start = data.draw(st.integers(0, blob.size))
    length = data.draw(st.one_of(st.integers(0, 2000), st.integers(0, blob.size)))
    part = range(start, min(start + length, blob.size))
    assert trio.run(read, blob, part) == layer.whole[part.start : part.stop]


async def test_nothing_stays_open(blob, layer):
    before = open_files()
    async with blob.open(range(blob.size)) as stream:
        while not isinstance(await stream.arrive(), range):
            pass
    assert open_files() == before


async def test_what_has_not_changed_is_not_hashed_again(blob, layer, monkeypatch):
    hashed = hashings(blob, monkeypatch)
    assert await read(blob) == layer.whole
    assert hashed == []


async def test_what_may_have_changed_is_hashed_once_and_is_right(
    blob, layer, monkeypatch
):
    """As after an optimisation of the store: the links differ, the bytes do not."""
    hashed = hashings(blob, monkeypatch)
    let_clock_tick()
    os.link(layer.large, layer.root.parent / "elsewhere")
    os.link(layer.small, layer.root.parent / "small")
    got = []

    async def client():
        got.append(await read(blob))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(client)
    assert got == [layer.whole] * 3
    assert hashed == [blob.digest]
    assert await read(blob, range(1000)) == layer.whole[:1000]


async def test_a_recipe_remembers_after_a_restart_when_it_was_sealed(blobs, layer):
    """Files that were there before are not hashed again; those of just now are."""
    digest = layer.record(blobs)
    recipe = blobs.find(digest)
    assert abs(recipe.sealed - time.time_ns()) < 60e9
    again = StreamedBlob(Recipes(blobs.path(digest).parent.parent), recipe)
    assert again.is_sealed(recipe.sealed - 3 * TICK)
    assert not again.is_sealed(recipe.sealed)


def test_what_gets_no_closer_look_is_what_was_hashed(blobs, blob):
    sealed = blobs.recipes.sealed(blob.recipe)
    assert blob.settled() == sealed - 2 * TICK
    assert blob.is_sealed(blob.settled())
    # The clock was put back since: of no file can be told whether it changed.
    blobs.recipes.seal(blob.digest, time.time_ns() + 3600 * 10**9)
    assert blob.settled() == 0
    assert not blob.is_sealed(sealed - 2 * TICK)


@pytest.mark.parametrize("which", ["small", "medium", "large"])
async def test_other_bytes_are_never_sent_as_whole(blobs, blob, layer, which):
    let_clock_tick()
    layer.rot(layer.root / which)
    with pytest.raises(LostContent, match="other contents"):
        await read(blob)
    assert blob.digest not in blobs


@pytest.mark.parametrize("which", ["small", "medium", "large"])
@pytest.mark.parametrize("size", [0, 50, 10_000_000])
async def test_another_size_is_never_sent_as_whole(blobs, blob, layer, which, size):
    os.truncate(layer.root / which, size)
    with pytest.raises(LostContent, match=which):
        await read(blob)
    assert blob.digest not in blobs


async def test_what_changes_while_it_is_sent_is_never_whole(blobs, blob, layer):
    let_clock_tick()
    done = []

    def rot():
        if not done:
            done.append(layer.rot(layer.large))

    with pytest.raises(LostContent, match="other contents"):
        await read(blob, between=rot)
    assert blob.digest not in blobs


async def test_a_store_path_that_is_gone_is_an_unknown_blob(blobs, blob, layer):
    shutil.rmtree(layer.root)
    with pytest.raises(RegistryError) as caught:
        await blob.require()
    assert caught.value.code is ErrorCode.BLOB_UNKNOWN
    assert f"{layer.root} is not in the Nix store any more" in caught.value.message
    assert "pull its image by tag" in caught.value.message
    assert blob.digest not in blobs


async def test_a_store_path_that_goes_meanwhile_breaks_off(blobs, blob, layer):
    with pytest.raises(LostContent, match="no file any more"):
        await read(blob, between=lambda: shutil.rmtree(layer.root, ignore_errors=True))
    assert blob.digest not in blobs


async def test_a_blob_that_is_evicted_is_read_to_its_end_or_unknown(blobs, blob, layer):
    got = await read(blob, between=lambda: blobs.discard([blob.digest]))
    assert got == layer.whole
    for path in blobs._staging.iterdir():
        path.unlink()
    with pytest.raises(RegistryError):
        await blob.require()
    with pytest.raises(LostContent, match="not here any more"):
        await read(blob)


async def test_what_may_pass_loses_nothing(blobs, blob, layer):
    """No file descriptors are left: that says nothing against the layer."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with blob.open(range(blob.size)) as stream:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            with pytest.raises(NixerydError, match=r"cannot be read now: .*Too many"):
                await take_all(stream)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert await read(blob) == layer.whole
