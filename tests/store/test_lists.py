"""Lists that upstreams gave: found by their place, and bounded."""

import pytest

from nixeryd.images.digests import Digest
from nixeryd.store import lists
from nixeryd.store.index import StoredManifest
from nixeryd.store.mirrored import UpstreamRepository

ONE, OTHER = Digest.of(b"one"), Digest.of(b"other")
HELLO, WORLD = (
    UpstreamRepository("docker.io", "hello"),
    UpstreamRepository("docker.io", "world"),
)
ELSEWHERE = UpstreamRepository("quay.io", "hello")


@pytest.fixture
def kept(index):
    return index.lists


def test_a_list_is_found_by_its_place_and_subject(kept):
    questions = [
        (place, subject)
        for place in (HELLO, WORLD, ELSEWHERE)
        for subject in (None, ONE, OTHER)
    ]
    for number, question in enumerate(questions):
        assert kept.find(*question) is None
        kept.keep(*question, "[0]")
        kept.keep(*question, f"[{number}]")
    for number, question in enumerate(questions):
        assert kept.find(*question) == f"[{number}]"
    kept.forget(HELLO)
    assert kept.find(HELLO) is None
    assert kept.find(HELLO, ONE) is not None


def test_an_upstream_keeps_so_much_and_the_latest_of_it(kept, monkeypatch):
    monkeypatch.setattr(lists, "MOST_BYTES", 100)
    kept.keep(ELSEWHERE, None, "x" * 90)
    for number in range(20):
        kept.keep(UpstreamRepository("docker.io", f"{number}"), None, "x" * 30)
    assert kept.size() == 90 + 90
    assert kept.find(ELSEWHERE) is not None
    found = [
        kept.find(UpstreamRepository("docker.io", f"{n}")) is not None
        for n in range(20)
    ]
    assert found == [False] * 17 + [True] * 3


def test_and_so_many(kept, monkeypatch):
    monkeypatch.setattr(lists, "MOST_LISTS", 2)
    for subject in (None, ONE, OTHER):
        kept.keep(HELLO, subject, "[]")
    assert [kept.find(HELLO, of) for of in (None, ONE, OTHER)] == [None, "[]", "[]"]


def test_a_list_that_is_too_long_is_not_kept_nor_the_one_before(kept, monkeypatch):
    monkeypatch.setattr(lists, "LARGEST", 9)
    kept.keep(HELLO, None, "[1]")
    kept.keep(HELLO, None, "\u00e4" * 5)
    assert kept.find(HELLO) is None


def test_eviction_frees_the_lists_of_what_is_gone(index, kept):
    for place, digest in ((HELLO, ONE), (WORLD, OTHER)):
        index.add_manifest(StoredManifest(digest, "type", (), 1))
        index.mirrored.add_manifest(place, digest, "type")
        kept.keep(place, None, "[]")
    kept.keep(ELSEWHERE, None, "[]")  # nothing of it was ever pulled
    index.names.forget([str(ONE)], [])
    found = [kept.find(place) for place in (HELLO, WORLD, ELSEWHERE)]
    assert found == [None, "[]", None]
