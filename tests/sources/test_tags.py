import pytest

from nixeryd.images.errors import RegistryError
from nixeryd.sources.tags import TagMeaning, read_tag


def read(tag):
    return read_tag(tag, sources=("nixpkgs", "work"), default="nixpkgs")


@pytest.mark.parametrize(
    ("tag", "source", "ref"),
    [
        ("latest", "nixpkgs", None),
        ("nixpkgs", "nixpkgs", None),
        ("work", "work", None),
        ("main", "nixpkgs", "main"),
        ("25.05", "nixpkgs", "25.05"),
        ("work..main", "work", "main"),
        ("work..latest", "work", None),
        ("work...x", "work", ".x"),
        ("v1.0", "nixpkgs", "v1.0"),
    ],
)
def test_a_tag_means_a_source_and_a_state(tag, source, ref):
    assert read(tag) == TagMeaning(source, ref)


@pytest.mark.parametrize("tag", ["other..main", "work..", "work..a..b"])
def test_two_dots_need_a_known_source_and_a_ref(tag):
    with pytest.raises(RegistryError) as caught:
        read(tag)
    assert caught.value.status == 404


def test_an_unknown_source_names_the_known_ones():
    with pytest.raises(RegistryError, match=r"no source 'other'.*nixpkgs, work"):
        read("other..main")
