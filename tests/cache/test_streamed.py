"""Streamed layers in the cache: checked, exported, evicted as what they make."""

import re
import shutil

import pytest

from nixeryd.cache.archive import Archive, BrokenBlob
from nixeryd.cache.eviction import Evictor
from nixeryd.images.descriptors import Descriptor
from nixeryd.images.manifests import LayerDescriptor, layer_media_type
from nixeryd.store.index import StoredManifest
from nixeryd.store.recovery import recover
from tests.cache.test_archive import broken, read
from tests.cache.test_scrubbing import make, scrub  # noqa: F401  fixtures
from tests.cache.test_verification import verify  # noqa: F401  a fixture
from tests.store.layers import make_layer


@pytest.fixture
def layer(shelf, tmp_path):
    """The layer of an image `one`, kept as a recipe beside the ordinary `base`."""
    layer = make_layer(tmp_path / "store" / "abc-package")
    digest = layer.record(shelf.blobs)
    descriptor = LayerDescriptor(
        digest, digest, len(layer.whole), layer_media_type("none")
    )
    shelf.index.add_layer("streamed", descriptor, [str(layer.root)])
    shelf.layer = lambda name, made=shelf.layer: (
        descriptor if name == "streamed" else made(name)
    )
    shelf.image("one", "base", "streamed", used=1)
    return layer


async def test_a_whole_one_is_found_whole_and_counted_by_what_it_makes(
    shelf, layer, verify  # noqa: F811
):  # fmt: skip
    checked = await verify()
    assert checked.broken == ()
    assert checked.size == shelf.size
    assert checked.size > len(layer.whole)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda layer: shutil.rmtree(layer.root), "cannot be made: .*abc-package"),
        (lambda layer: layer.small.unlink(), "cannot be made: .*small"),
        (lambda layer: layer.rot(layer.large), "damaged"),
    ],
    ids=["gone", "a file gone", "other bytes"],
)
async def test_what_makes_other_bytes_is_named_and_let_go(
    shelf, layer, verify, damage, why  # noqa: F811
):  # fmt: skip
    damage(layer)
    (found,) = (await verify(repair=True)).broken
    assert found.digest == str(layer.packed.digest)
    assert re.match(why, found.why)
    assert found.images == ("one:latest",)
    assert shelf.names == set()
    assert layer.packed.digest not in shelf.blobs
    assert not shelf.blobs.recipes.path(layer.packed.digest).exists()
    assert (await verify()).broken == ()


async def test_scrubbing_leaves_it_to_nix(shelf, layer, scrub):  # noqa: F811
    layer.rot(layer.large)
    assert await scrub() == []
    assert shelf.blobs.is_streamed(layer.packed.digest)
    assert shelf.names == {"one"}


async def test_one_that_was_lost_and_is_found_right_is_here_again(
    shelf, layer, verify  # noqa: F811
):  # fmt: skip
    shelf.blobs.recipes.lose(layer.packed.digest, BrokenBlob("it was so"))
    assert layer.packed.digest not in shelf.blobs
    assert (await verify()).broken == ()
    assert shelf.blobs.is_streamed(layer.packed.digest)


async def test_an_export_has_its_bytes_or_breaks_off(shelf, layer):
    blob = Descriptor(layer.packed.digest, len(layer.whole))
    archive = Archive(shelf.blobs, (b"<", blob, b">"))
    assert await read(archive) == b"<" + layer.whole + b">"
    layer.rot(layer.small)
    came = []
    with pytest.raises((BrokenBlob, BaseExceptionGroup)) as caught:
        await read(archive, came)
    assert isinstance(broken(caught.value), BrokenBlob)
    assert b">" not in came
    layer.small.unlink()
    with pytest.raises((BrokenBlob, BaseExceptionGroup)) as caught:
        await read(archive)
    assert isinstance(broken(caught.value), BrokenBlob)


async def test_eviction_counts_what_it_makes_and_takes_the_recipe(shelf, layer):
    evictor = Evictor(shelf.blobs, shelf.index, shelf.index_path, shelf.uses, cap=None)
    before = shelf.size
    foreseen = await evictor.evict(0, dry_run=True, spare_pulls=False)
    evicted = await evictor.evict(0, spare_pulls=False)
    assert (evicted.freed, evicted.left) == (before, 0)
    assert (foreseen.freed, foreseen.left) == (before, 0)
    assert not shelf.blobs.recipes.path(layer.packed.digest).exists()
    assert shelf.blobs.listing() == {}
    assert list((shelf.root / "staging").iterdir()) == []


async def test_an_index_that_is_lost_is_made_anew_with_it(shelf, layer):
    (name,) = shelf.index.names.all()
    kept = shelf.index.manifest(name.manifest)
    shelf.index.names.forget([str(name.manifest)], [])
    assert shelf.index.manifest(name.manifest) is None
    assert recover(shelf.blobs, shelf.index) == 1
    found = shelf.index.manifest(name.manifest)
    assert isinstance(found, StoredManifest)
    assert (found.blobs, layer.packed.digest in found.blobs) == (kept.blobs, True)
