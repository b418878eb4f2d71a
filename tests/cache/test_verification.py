"""Verification: every kind of damage is found, named, and mended if asked."""

import errno
import os

import pytest
import trio

from nixeryd.api.images import Checked, Checking
from nixeryd.cache import damage as damages
from nixeryd.cache.eviction import Evictor
from nixeryd.cache.verification import Verification
from nixeryd.images.digests import Digest
from nixeryd.store.index import StoredManifest
from nixeryd.store.mirrored import UpstreamRepository
from nixeryd.store.retention import Blob
from tests.cache.conftest import KB


@pytest.fixture
def verify(shelf):
    async def verify(*, repair=False) -> Checked:
        evictor = Evictor(
            shelf.blobs, shelf.index, shelf.index_path, shelf.uses, cap=None
        )
        run = Verification(shelf.blobs, shelf.index, shelf.index_path, evictor.discard)
        async with run.run(repair=repair) as channel:
            events = [event async for event in channel]
        assert all(isinstance(event, Checking) for event in events[:-1])
        return events[-1]

    return verify


def damage(shelf, digest, body=b"x"):
    shelf.blobs.path(digest).write_bytes(body)


async def test_a_whole_cache_is_found_whole(shelf, verify):
    shelf.image("one", "base", "a", used=1)
    shelf.image("two", "base", "b", used=1)
    checked = await verify()
    assert checked == Checked(
        blobs=len(shelf.blobs.listing()), size=shelf.size, broken=(), repaired=False
    )


async def test_an_empty_cache_is_whole(verify):
    assert await verify() == Checked(blobs=0, size=0, broken=(), repaired=False)


@pytest.mark.parametrize("body", [b"", b"base" * 30 * KB, b"basf" + b"base" * 24_999])
async def test_a_damaged_layer_is_named_with_its_images(shelf, verify, body):
    shelf.image("one", "base", "a", used=1)
    shelf.image("two", "base", "b", used=1)
    shelf.image("three", "c", used=1)
    layer = shelf.index.layer("base").digest
    damage(shelf, layer, body)
    (broken,) = (await verify()).broken
    assert (broken.digest, broken.why) == (str(layer), "damaged")
    assert broken.images == ("one:latest", "two:latest")
    assert shelf.names == {"one", "two", "three"}


async def test_a_repair_removes_what_is_damaged_and_the_builds_that_need_it(
    shelf, verify
):
    shelf.image("one", "base", "a", used=1)
    shelf.image("two", "b", used=1)
    damage(shelf, shelf.index.layer("base").digest)
    checked = await verify(repair=True)
    assert checked.repaired
    assert shelf.names == {"two"}
    assert shelf.index.build("one") is None
    assert shelf.index.layer("base") is None
    assert shelf.index.layer("a") is not None, "it is whole, and spares a packing"
    shelf.check()
    assert (await verify()).broken == ()
    shelf.image("one", "base", "a", used=2)
    shelf.check()


async def test_a_build_that_was_written_meanwhile_goes_with_what_it_needs(
    shelf, verify, monkeypatch
):
    shelf.image("one", "base", used=1)
    damage(shelf, shelf.index.layer("base").digest)
    listing = shelf.blobs.listing

    def build_after_listing():
        found = listing()
        trio.from_thread.run_sync(build)
        return found

    def build():
        layer = shelf.index.layer("base").digest
        manifest = StoredManifest(shelf.blobs.put(b"two"), "type", (layer,), 0)
        shelf.index.add_build("two", manifest)
        shelf.index.set_tag("two", "latest", "two", manifest.digest, 1)

    monkeypatch.setattr(shelf.blobs, "listing", build_after_listing)
    await verify(repair=True)
    monkeypatch.undo()
    assert shelf.index.build("two") is None
    shelf.check()


async def test_a_missing_blob_of_a_build_is_broken_and_its_row_goes(shelf, verify):
    shelf.image("one", "a", used=1)
    layer = shelf.index.layer("a").digest
    shelf.blobs.path(layer).unlink()
    (broken,) = (await verify(repair=True)).broken
    assert (broken.digest, broken.why) == (str(layer), "missing")
    assert broken.images == ("one:latest",)
    assert shelf.names == set()


async def test_a_damaged_manifest_is_forgotten(shelf, verify):
    digest = shelf.image("one", "a", used=1)
    damage(shelf, digest)
    await verify(repair=True)
    assert shelf.index.manifest(digest) is None
    shelf.check()


async def test_of_a_mirrored_image_only_what_is_damaged_goes(shelf, verify):
    place = UpstreamRepository("docker.io", "library/nginx")
    layer, missing = shelf.layer("n").digest, Digest.of(b"not fetched yet")
    image, index = shelf.blobs.put(b"image"), shelf.blobs.put(b"index")
    for digest, needs in [(image, (layer, missing)), (index, (image,))]:
        shelf.index.add_manifest(StoredManifest(digest, "type", needs, 0))
        shelf.index.mirrored.add_manifest(place, digest, "type")
    shelf.index.mirrored.add_blob(layer, 100 * KB)
    damage(shelf, layer)
    checked = await verify(repair=True)
    assert [broken.digest for broken in checked.broken] == [str(layer)]
    assert shelf.index.manifest(image) is not None
    assert shelf.blobs.size(layer) is None
    damage(shelf, image)
    await verify(repair=True)
    assert shelf.index.manifest(image) is None
    assert shelf.index.manifest(index) is not None


async def test_damage_that_nobody_needs_is_found_too(shelf, verify):
    digest = shelf.blobs.put(b"loose")
    damage(shelf, digest)
    (broken,) = (await verify(repair=True)).broken
    assert (broken.digest, broken.images) == (str(digest), ())
    assert shelf.size == 0


async def test_what_cannot_be_read_is_broken(shelf, verify):
    shelf.image("one", "a", used=1)
    layer = shelf.index.layer("a").digest
    path = shelf.blobs.path(layer)
    path.unlink()
    path.mkdir()
    (broken,) = (await verify()).broken
    assert (broken.digest, broken.why) == (
        str(layer),
        "cannot be read: Is a directory",
    )
    assert broken.images == ("one:latest",)


async def test_what_is_evicted_meanwhile_is_not_broken(shelf, verify, monkeypatch):
    shelf.image("one", "a", used=1)
    listing = shelf.blobs.listing()
    loose = shelf.blobs.put(b"loose")
    monkeypatch.setattr(
        shelf.blobs, "listing", lambda: listing | {str(loose): Blob(5, 0)}
    )
    shelf.blobs.path(loose).unlink()
    assert (await verify()).broken == ()


async def test_a_machine_without_descriptors_is_waited_for(shelf, verify, monkeypatch):
    shelf.image("one", "a", used=1)
    chunks, refused = shelf.blobs.chunks, set()

    def refuse_once(digest):
        if digest not in refused:
            refused.add(digest)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return chunks(digest)

    monkeypatch.setattr(shelf.blobs, "chunks", refuse_once)
    monkeypatch.setattr(damages, "PATIENCE", 0)
    before = shelf.blobs.listing()
    assert (await verify(repair=True)).broken == ()
    assert len(refused) == len(before)
    assert shelf.blobs.listing() == before


async def test_of_a_repair_is_told_what_went_and_what_may_not_be_read(
    shelf, verify, monkeypatch
):
    shelf.image("one", "a", used=1)
    shelf.image("two", "b", used=1)
    rotten, denied = (shelf.index.layer(name).digest for name in "ab")
    damage(shelf, rotten)
    chunks = shelf.blobs.chunks

    def refuse(digest):
        if digest == denied:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return chunks(digest)

    monkeypatch.setattr(shelf.blobs, "chunks", refuse)
    found = await verify()
    assert {one.digest for one in found.broken} == {str(rotten), str(denied)}
    assert not any(one.removed for one in found.broken)
    checked = await verify(repair=True)
    told = {one.digest: (one.removed, one.images) for one in checked.broken}
    assert told == {
        str(rotten): (True, ("one:latest",)),
        str(denied): (False, ("two:latest",)),
    }
    assert not checked.repaired
    assert shelf.names == {"two"}
    monkeypatch.undo()
    assert (await verify()).broken == ()


async def test_what_is_right_when_read_again_is_whole(shelf):
    digest = shelf.blobs.put(b"body")
    damage(shelf, digest, b"boby")
    read = 0

    def mend_at_the_end(size: int) -> None:
        nonlocal read
        read += size
        damage(shelf, digest, b"body")

    assert await damages.examine(shelf.blobs, digest, mend_at_the_end) is None
    assert read == 2 * len(b"body")
