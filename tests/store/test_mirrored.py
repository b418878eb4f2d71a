"""What is mirrored: each row answers for its own place, and says what was written."""

import pytest

from nixeryd.images.digests import Digest
from nixeryd.images.freshness import Entry
from nixeryd.images.served import TagPage
from nixeryd.store.index import StoredManifest
from nixeryd.store.mirrored import Place

ONE, OTHER = Digest.of(b"one"), Digest.of(b"other")
# In order; each differs from the first in one thing.
PLACES = [
    Place("docker.io", "library/nginx"),
    Place("docker.io", "library/redis"),
    Place("quay.io", "library/nginx"),
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
        mirrored.add_manifest(PLACES[1], digest)
    for place in (*reversed(PLACES), PLACES[0]):
        mirrored.add_manifest(place, ONE)
    assert mirrored.places(ONE) == PLACES
    assert mirrored.places(OTHER) == [PLACES[1]]
    assert mirrored.places(Digest.of(b"none")) == []


def test_a_page_of_tags_answers_the_question_that_it_was_given_to(mirrored):
    questions = [
        (place, n, last)
        for place in PLACES
        for n in (None, 1, 2)
        for last in (None, "a", "b")
    ]
    for number, (place, n, last) in enumerate(questions):
        assert mirrored.page(place, n, last) is None
        mirrored.set_page(place, n, last, TagPage(("old",), "old"))
        mirrored.set_page(place, n, last, TagPage(("t", f"{number}"), f"{number}"))
    for number, question in enumerate(questions):
        found = mirrored.page(*question)
        assert found == TagPage(("t", f"{number}"), f"{number}")
    mirrored.set_page(*questions[0], TagPage(()))
    assert mirrored.page(*questions[0]) == TagPage(())
