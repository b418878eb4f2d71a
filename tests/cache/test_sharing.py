"""Sizes of images: what is counted once, and what belongs to one alone."""

from hypothesis import given, strategies as st

from nixeryd.cache.sharing import Measure, Measures, measure
from nixeryd.images.numbering import Numbering
from nixeryd.store.retention import Blob, ManifestUse, plan_removal

number = Numbering().number


def held(name, *needs):
    return ManifestUse(number(name), tuple(map(number, needs)), 0.0)


def blobs(**sizes):
    return {number(name): Blob(size, 0.0) for name, size in sizes.items()}


def measured(images, here, names):
    """Measure; gives what was found by name."""
    found = measure(images, here, [number(name) for name in names]).images
    assert len(found) == len(names)
    return {name: found[number(name)] for name in names}


def test_what_two_images_share_is_no_ones_own():
    images = [held("m", "base", "a"), held("n", "base", "b")]
    here = blobs(m=1, n=1, base=100, a=10, b=20)
    assert measured(images, here, ["m", "n"]) == {
        "m": Measure(size=111, unique=11, missing=0),
        "n": Measure(size=121, unique=21, missing=0),
    }


def test_what_an_image_without_a_name_shares_is_shared_too():
    images = [held("m", "base", "a"), held("old", "base")]
    here = blobs(m=1, old=1, base=100, a=10)
    assert measured(images, here, ["m"]) == {"m": Measure(111, 11, 0)}


def test_an_index_is_as_large_as_what_it_names_and_is_here():
    images = [held("index", "amd64", "arm64"), held("amd64", "a", "b")]
    here = blobs(index=1, amd64=2, a=10)
    assert measured(images, here, ["index"]) == {"index": Measure(13, 13, missing=1)}


def test_an_index_of_which_nothing_is_here_misses_all():
    images = [held("index", "amd64", "arm64")]
    assert measured(images, blobs(index=1), ["index"]) == {"index": Measure(1, 1, 2)}


def test_what_is_not_held_is_not_measured():
    assert measure([], {}, [number("m")]) == Measures({}, 0, 0)


def test_what_no_image_has_is_counted_apart():
    images = [
        held("index", "amd64"),
        held("amd64", "a"),
        held("old", "a", "b"),
        held("older", "c"),
    ]
    here = blobs(index=1, amd64=2, a=10, old=3, b=20, loose=40)
    found = measure(images, here, [number("index")])
    assert (found.other_manifests, found.other_size) == (2, 63)


@given(
    st.dictionaries(
        st.sampled_from("mnop"), st.frozensets(st.sampled_from("abcdef")), min_size=1
    ),
    st.dictionaries(st.sampled_from("mnopabcdef"), st.integers(0, 9)),
)
def test_what_is_unique_is_what_a_removal_frees(images, sizes):
    manifests = [held(name, *sorted(needs)) for name, needs in images.items()]
    here = blobs(**sizes)
    for name, one in measured(manifests, here, images).items():
        others = {number(other) for other in images.keys() - {name}}
        removal = plan_removal(manifests, here, remove=[number(name)], named=others)
        assert removal.freed == one.unique
