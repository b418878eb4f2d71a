"""Numbers of digests in the index, and the sizes of blobs that are here."""

import pytest

from nixeryd.images.digests import Digest
from nixeryd.images.manifests import LayerDescriptor
from nixeryd.store.index import StoredManifest
from nixeryd.store.snapshot import read_holdings

ONE, TWO, THREE, IMAGE, OTHER = (
    Digest.of(name) for name in (b"one", b"two", b"three", b"image", b"other")
)


def numbers(index):
    return dict(index.names._db.execute("SELECT digest, number FROM digests"))


def test_a_manifest_needs_each_blob_once_in_its_order(index):
    index.add_manifest(StoredManifest(IMAGE, "type", (TWO, ONE, TWO, THREE), 1))
    for _ in range(2):
        assert index.manifest(IMAGE).blobs == (TWO, ONE, THREE)


def test_a_number_that_is_not_needed_goes_and_is_never_used_again(index):
    index.add_manifest(StoredManifest(IMAGE, "type", (ONE, TWO), 1))
    before = numbers(index)
    index.names.forget([str(IMAGE)], [str(ONE), str(TWO)], unneeded=True)
    assert numbers(index) == {}
    index.add_manifest(StoredManifest(OTHER, "type", (TWO, THREE), 1))
    assert set(numbers(index).values()).isdisjoint(before.values())
    assert index.manifest(OTHER).blobs == (TWO, THREE)


def test_what_another_manifest_needs_keeps_its_number(index):
    index.add_manifest(StoredManifest(IMAGE, "type", (ONE, TWO), 1))
    before = numbers(index)
    index.names.forget([], [str(ONE)])
    assert numbers(index) == before
    assert index.manifest(IMAGE).blobs == (ONE, TWO)


def test_sizes_are_known_of_needed_blobs_as_long_as_they_are_here(places, index):
    for digest in (ONE, TWO):
        layer = LayerDescriptor(digest, digest, len(str(digest)), "")
        index.add_layer(digest.hex, layer, ())
    index.mirrored.add_blob(THREE, 5)
    index.add_manifest(StoredManifest(IMAGE, "type", (ONE, THREE, OTHER), 1))

    def sizes():
        holdings = read_holdings(places.index)
        found = zip(range(9), holdings.sizes, strict=False)
        return {
            holdings.numbering.digest(number): size
            for number, size in found
            if size is not None
        }

    # The other layer is for nobody, and the other blob was never here.
    assert sizes() == {str(ONE): 71, str(THREE): 5}
    index.names.forget([], [str(ONE)])
    assert sizes() == {str(THREE): 5}
    assert index.layer(ONE.hex) is None


def test_of_what_is_known_no_file_is_looked_at(places, blobs, index):
    known, loose = blobs.put(b"known"), blobs.put(b"loose")
    for digest in (known, loose):
        index.add_layer(digest.hex, LayerDescriptor(digest, digest, 5, ""), ())
    needed = blobs.put(b"its size is not known")
    index.add_manifest(StoredManifest(IMAGE, "type", (known, needed, OTHER), 1))
    blobs.path(known).write_bytes(b"")
    holdings = read_holdings(places.index)
    listing = holdings.listing(blobs)
    looked = blobs.listing()
    found = {holdings.numbering.digest(number): listing[number] for number in listing}
    assert found.keys() == looked.keys() == {str(known), str(loose), str(needed)}
    assert found[str(known)].size == 5
    for digest in (loose, needed):
        assert found[str(digest)] == looked[str(digest)]
        assert found[str(digest)].written > 0


def test_what_a_rolled_back_manifest_named_misleads_nobody(index):
    database = index.names._db
    database.execute(
        "CREATE TEMP TRIGGER refuse BEFORE INSERT ON manifests WHEN new.size = 7"
        " BEGIN SELECT RAISE(ABORT, 'refused'); END"
    )
    with pytest.raises(Exception, match="refused"):
        index.add_manifest(StoredManifest(IMAGE, "type", (ONE, TWO), 7))
    assert numbers(index) == {}
    index.add_manifest(StoredManifest(OTHER, "type", (THREE, ONE), 1))
    assert index.manifest(OTHER).blobs == (THREE, ONE)
