"""Eviction plans: tables of small caches, and the laws over random ones."""

from hypothesis import given, strategies as st

from nixeryd.images.numbering import Numbering
from nixeryd.store.retention import (
    Blob,
    Eviction,
    ManifestUse,
    Step,
    batches,
    plan_eviction,
    plan_removal,
)

digest = Numbering().number


def held(name, *needs, used=0.0, pinned=False):
    return ManifestUse(digest(name), tuple(map(digest, needs)), used, pinned)


def blobs(**sizes):
    return {digest(name): Blob(size, 0.0) for name, size in sizes.items()}


def names(*texts):
    return tuple(map(digest, texts))


def step(manifest, *gone):
    return Step(manifest and digest(manifest), names(*gone))


def test_under_the_cap_nothing_goes():
    plan = plan_eviction([held("m", "a")], blobs(m=1, a=9), cap=10)
    assert plan == Eviction((), freed=0, left=10)


def test_the_least_recently_used_goes_first():
    images = [held("new", "a", used=2), held("old", "b", used=1)]
    plan = plan_eviction(images, blobs(new=1, a=5, old=1, b=5), cap=6)
    assert plan == Eviction((step("old", "old", "b"),), freed=6, left=6)


def test_no_more_goes_than_has_to():
    images = [held(name, f"{name}1", used=i) for i, name in enumerate("abcd")]
    here = blobs(a=1, a1=9, b=1, b1=9, c=1, c1=9, d=1, d1=9)
    plan = plan_eviction(images, here, cap=25)
    assert [one.manifest for one in plan.steps] == list(names("a", "b"))


def test_a_shared_blob_stays_with_the_one_that_stays_and_counts_once():
    images = [held("old", "base", "a", used=1), held("new", "base", "b", used=2)]
    here = blobs(old=1, new=1, base=100, a=10, b=10)
    plan = plan_eviction(images, here, cap=115)
    assert plan == Eviction((step("old", "old", "a"),), freed=11, left=111)
    plan = plan_eviction(images, here, cap=0)
    assert plan.steps[1] == step("new", "new", "base", "b")
    assert plan.left == 0


def test_what_is_pinned_stays_though_the_cap_is_not_reached():
    images = [held("pinned", "a", pinned=True), held("other", "b", used=9)]
    plan = plan_eviction(images, blobs(pinned=1, a=5, other=1, b=5), cap=3)
    assert plan == Eviction((step("other", "other", "b"),), freed=6, left=6)


def test_what_is_busy_stays():
    images = [held("read", "a"), held("other", "b", "c", used=9)]
    here = blobs(read=1, a=5, other=1, b=5, c=5)
    plan = plan_eviction(images, here, cap=0, busy={digest("read"), digest("b")})
    # The manifest that is read stays whole; of the other one what is read.
    assert plan == Eviction((step("other", "other", "c"),), freed=6, left=11)


def test_what_no_manifest_needs_goes_first_if_it_is_old():
    images = [held("m", "a", used=-9)]
    here = blobs(m=1, a=5) | {
        digest("older"): Blob(5, 1.0),
        digest("old"): Blob(5, 2.0),
        digest("fresh"): Blob(5, 4.0),
    }
    plan = plan_eviction(images, here, cap=11, loose_before=3.0)
    assert plan.steps == (step(None, "older"), step(None, "old"))
    # No more than has to, and what was written at that very moment is not older.
    plan = plan_eviction(images, here, cap=16, loose_before=3.0)
    assert plan.steps == (step(None, "older"),)
    plan = plan_eviction(images, here, cap=11, loose_before=2.0)
    assert plan.steps == (step(None, "older"), step("m", "m", "a"))
    plan = plan_eviction(images, here, cap=10, loose_before=3.0)
    assert plan.steps[2] == step("m", "m", "a")
    assert plan.left == 5


def test_a_manifest_whose_blobs_are_missing_can_go():
    plan = plan_eviction([held("m", "missing")], blobs(m=3), cap=0)
    # What was missing is told of as well: nobody needs it any more.
    assert plan == Eviction((step("m", "m", "missing"),), freed=3, left=0)


def test_what_an_index_names_stays_while_the_index_is_used():
    images = [
        held("index", "amd64", "arm64", used=9),
        held("amd64", "a", used=1),
        held("other", "b", used=5),
    ]
    here = blobs(index=1, amd64=1, a=5, other=1, b=5)
    plan = plan_eviction(images, here, cap=7)
    assert plan.steps == (step("other", "other", "b"),)


def test_an_index_goes_before_what_it_names():
    images = [held("amd64", "a", used=5), held("index", "amd64", used=5)]
    plan = plan_eviction(images, blobs(index=1, amd64=1, a=5), cap=0)
    assert plan.steps == (step("index", "index"), step("amd64", "amd64", "a"))


def test_what_an_index_named_may_be_used_longer_than_the_index():
    images = [
        held("amd64", "a", used=9),
        held("index", "amd64", used=1),
        held("other", "b", used=5),
    ]
    here = blobs(index=1, amd64=1, a=5, other=1, b=5)
    plan = plan_eviction(images, here, cap=6)
    assert [one.manifest for one in plan.steps] == list(names("index", "other"))


def test_what_a_pinned_index_names_stays():
    images = [held("index", "amd64", pinned=True), held("amd64", "a")]
    plan = plan_eviction(images, blobs(index=1, amd64=1, a=5), cap=0)
    assert plan == Eviction((), freed=0, left=7)


def test_indexes_in_indexes_stay_and_go_with_all_that_they_name():
    # By their numbers what is named comes first: of what was used alike, it is tried
    # first, and has to wait for what names it.
    *inner, top = sorted(("a", "b", "a1", "a2", "b1", "b2", "top"), key=digest)
    one, other, *leaves = inner
    images = [
        held(one, *leaves[:2]),
        held(other, *leaves[2:]),
        *map(held, leaves),
    ]
    here = blobs(**dict.fromkeys((*inner, top), 1))
    pinned = plan_eviction([*images, held(top, one, other, pinned=True)], here, cap=0)
    assert pinned == Eviction((), freed=0, left=7)
    plan = plan_eviction([*images, held(top, one, other)], here, cap=0)
    assert plan.steps[0] == step(top, top)
    assert (len(plan.steps), plan.left) == (7, 0)


# A cache: manifests 0 to 4 may name each other upwards only (digests know no
# cycles), and share blobs 5 to 14, of which some are missing.
_NUMBERS = range(15)
_needs = st.lists(st.sampled_from(range(5, 15)), max_size=6)


@st.composite
def caches(draw):
    digests = [digest(str(number)) for number in _NUMBERS]
    manifests = []
    for number in range(draw(st.integers(0, 5))):
        children = draw(st.lists(st.sampled_from(range(number + 1, 6)), max_size=2))
        manifests.append(
            ManifestUse(
                digests[number],
                tuple(digests[need] for need in {*draw(_needs), *children}),
                used=draw(st.integers(0, 5)),
                pinned=draw(st.booleans()) and draw(st.booleans()),
            )
        )
    here = {
        one: Blob(draw(st.integers(0, 50)), draw(st.integers(0, 9)))
        for one in digests
        if draw(st.integers(0, 9))
    }
    busy = frozenset(draw(st.lists(st.sampled_from(digests), max_size=3)))
    return manifests, here, busy


def _reach(manifests, start):
    by_number = {one.number: one for one in manifests}
    found, due = set(), list(start)
    while due:
        one = due.pop()
        if one not in found:
            found.add(one)
            due += by_number[one].needs if one in by_number else ()
    return found


@given(caches(), st.integers(0, 300), st.integers(0, 9))
def test_the_laws_of_eviction(cache, cap, loose_before):
    manifests, here, busy = cache
    plan = plan_eviction(manifests, here, cap=cap, busy=busy, loose_before=loose_before)
    total = sum(blob.size for blob in here.values())
    left, there = list(manifests), dict(here)
    pinned = [one.number for one in manifests if one.pinned]
    kept_for_good = _reach(
        manifests, [*pinned, *(busy & {m.number for m in manifests})]
    )
    for one in plan.steps:
        assert total > cap, "no step is taken that need not be"
        if one.manifest is not None:
            assert one.manifest not in kept_for_good
            (gone,) = [m for m in left if m.number == one.manifest]
            left.remove(gone)
        for blob in one.blobs:
            total -= there.pop(blob).size if blob in there else 0
            assert not any(blob in (m.number, *m.needs) for m in left)
            assert blob not in busy
        # After every step nothing that is left misses what it had.
        wanted = {need for m in left for need in (m.number, *m.needs)}
        assert wanted & here.keys() <= there.keys()
    assert (plan.left, plan.freed) == (
        total,
        sum(blob.size for blob in here.values()) - total,
    )
    if plan.left > cap:
        assert {m.number for m in left} <= kept_for_good
        wanted = {need for m in left for need in (m.number, *m.needs)}
        assert all(
            one in wanted or one in busy or blob.written >= loose_before
            for one, blob in there.items()
        )


@given(caches(), st.integers(0, 300))
def test_what_stays_was_used_later_than_what_goes(cache, cap):
    manifests, here, busy = cache
    plan = plan_eviction(manifests, here, cap=cap, busy=busy)
    gone = {one.manifest for one in plan.steps}
    pinned = [one.number for one in manifests if one.pinned]
    exempt = _reach(manifests, [*pinned, *(busy & {m.number for m in manifests})])
    for stays in manifests:
        if stays.number in gone | exempt:
            continue
        used = max(
            m.used for m in manifests if stays.number in _reach(manifests, [m.number])
        )
        assert all(used >= m.used for m in manifests if m.number in gone)


def test_ten_thousand_images_are_planned():
    """Not timed here; benchmarks/retention.py is."""
    images = [
        held(f"m{n}", *(f"l{(n * 7 + k) % 1000}" for k in range(10)), used=n)
        for n in range(200)
    ]
    here = {
        need: Blob(1, 0) for image in images for need in (image.number, *image.needs)
    }
    plan = plan_eviction(images, here, cap=0)
    assert plan.left == 0
    assert len(plan.steps) == len(images)


def test_a_removal_takes_what_only_the_removed_needs():
    images = [held("one", "base", "a", pinned=True), held("two", "base", "b")]
    here = blobs(one=1, two=1, base=100, a=10, b=10)
    plan = plan_removal(images, here, remove=names("one"), named=set(names("two")))
    assert plan == Eviction((step("one", "one", "a"),), freed=11, left=111)


def test_a_removed_index_takes_what_it_names_unless_that_has_a_name():
    images = [
        held("index", "amd64", "arm64"),
        held("amd64", "a"),
        held("arm64", "b"),
        held("other", "b"),
    ]
    here = blobs(index=1, amd64=1, arm64=1, a=5, b=5, other=1)
    plan = plan_removal(
        images, here, remove=names("index"), named=set(names("arm64", "other"))
    )
    assert plan.steps == (step("index", "index"), step("amd64", "amd64", "a"))


def test_what_an_index_names_is_not_removed_alone():
    images = [held("index", "amd64"), held("amd64", "a")]
    here = blobs(index=1, amd64=1, a=5)
    plan = plan_removal(images, here, remove=names("amd64"), named=set(names("index")))
    assert plan == Eviction((), freed=0, left=7)


def test_a_removal_leaves_what_somebody_counts_on():
    here = blobs(m=1, a=5)
    busy = set(names("a"))
    plan = plan_removal(
        [held("m", "a")], here, remove=names("m"), named=set(), busy=busy
    )
    assert plan.steps == (step("m", "m"),)


def test_what_is_not_there_or_named_twice_is_removed_once():
    here = blobs(m=1)
    plan = plan_removal([held("m")], here, remove=names("m", "gone", "m"), named=set())
    assert plan == Eviction((step("m", "m"),), freed=1, left=0)


def test_a_plan_is_cut_into_parts_with_whole_steps():
    steps = [step("a", "1", "2"), step("b"), step("c", "3"), step("d", "4", "5", "6")]
    # A manifest counts as one, and each blob that goes with it.
    assert list(batches(steps, 4)) == [steps[:2], steps[2:]]
    assert list(batches(steps, 3)) == [steps[:1], steps[1:3], steps[3:]]
    assert list(batches(steps, 1)) == [[one] for one in steps]
    assert list(batches(steps, 100)) == [steps]
    assert list(batches([], 4)) == []
    ones = [step(name) for name in "abcde"]
    assert list(batches(ones, 2)) == [ones[:2], ones[2:4], ones[4:]]
