"""Numbers of digests, and how often each is used."""

from collections import Counter

from hypothesis import given, strategies as st

from nixeryd.images.numbering import Numbering, count_uses


def test_a_digest_has_one_number_and_a_new_one_the_next():
    numbering = Numbering(["", "", "two", "", "four"])
    assert [numbering.number(one) for one in ("two", "four", "new", "two")] == [
        *(2, 4, 5, 2)
    ]
    assert numbering.digests([5, 2]) == ["new", "two"]
    assert numbering.digest(4) == "four"


def test_the_first_number_is_none_that_was_given():
    numbering = Numbering()
    assert [numbering.number(one) for one in ("a", "b", "a")] == [0, 1, 0]


@given(st.lists(st.frozensets(st.integers(0, 9))), st.frozensets(st.integers(0, 20)))
def test_each_use_is_counted(uses, known):
    counts = count_uses(uses, known)
    expected = Counter(number for numbers in uses for number in numbers)
    assert {number: count for number, count in enumerate(counts) if count} == expected
    assert len(counts) > max(known, default=-1)
