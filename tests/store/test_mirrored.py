"""What is mirrored: each row answers for its own place, and says what was written."""

import pytest

from nixeryd.images.digests import Digest
from nixeryd.images.freshness import Entry
from nixeryd.store.index import StoredManifest
from nixeryd.store.mirrored import UpstreamRepository

ONE, OTHER = Digest.of(b"one"), Digest.of(b"other")
# In order; each differs from the first in one thing.
PLACES = [
    UpstreamRepository("docker.io", "library/nginx"),
    UpstreamRepository("docker.io", "library/redis"),
    UpstreamRepository("quay.io", "library/nginx"),
]


@pytest.fixture
def mirrored(index):
    return index.mirrored


def test_a_place_is_written_as_in_an_images_name():
    assert str(PLACES[0]) == "docker.io/library/nginx"


def test_a_tag_is_that_of_its_place_and_what_was_last_said_of_it(mirrored):
    entries = {
        (place, tag): Entry(ONE, float(number), gone=number % 2 == 1)
        for number, (place, tag) in enumerate(
            (place, tag) for place in PLACES for tag in ("1", "2")
        )
    }
    assert mirrored.tags() == []
    assert mirrored.count_tags() == 0
    for place, tag in reversed(entries):
        assert mirrored.tag(place, tag) is None
        mirrored.set_tag(place, tag, Entry(OTHER, 99.5, gone=False))
        assert mirrored.tag(place, tag) == Entry(OTHER, 99.5, gone=False)
        mirrored.set_tag(place, tag, entries[place, tag])
    for (place, tag), entry in entries.items():
        assert mirrored.tag(place, tag) == entry
    listed = [(place, tag, entry) for (place, tag), entry in entries.items()]
    assert mirrored.tags() == listed
    assert mirrored.count_tags() == len(entries)


def test_a_manifest_is_had_from_each_place_that_it_came_from_once(index, mirrored):
    for digest in (ONE, OTHER):
        index.add_manifest(StoredManifest(digest, "type", (), 1))
        mirrored.add_manifest(PLACES[1], digest, "type")
    for place in (*reversed(PLACES), PLACES[0]):
        mirrored.add_manifest(place, ONE, "type")
    assert mirrored.places(ONE) == PLACES
    assert mirrored.places(OTHER) == [PLACES[1]]
    assert mirrored.places(Digest.of(b"none")) == []


def test_a_manifest_is_of_the_type_that_its_place_says(index, mirrored):
    index.add_manifest(StoredManifest(ONE, "first", (), 1))
    mirrored.add_manifest(PLACES[0], ONE, "first")
    mirrored.add_manifest(PLACES[1], ONE, "another")
    types = [mirrored.media_type(place, ONE) for place in PLACES]
    assert types == ["first", "another", None]
