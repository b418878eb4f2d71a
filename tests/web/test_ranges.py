import pytest
from hypothesis import given, strategies as st

from nixeryd.web.ranges import RangeNotSatisfiable, parse_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", range(1)),
        ("bytes=0-9", range(10)),
        ("bytes=0-", range(10)),
        ("bytes=5-", range(5, 10)),
        ("bytes=9-", range(9, 10)),
        ("bytes=2-4", range(2, 5)),
        ("bytes=2-99", range(2, 10)),
        ("bytes=2-" + "9" * 20, range(2, 10)),
        ("bytes=-3", range(7, 10)),
        ("bytes=-10", range(10)),
        ("bytes=-99", range(10)),
        ("bytes=007-8", range(7, 9)),
        ("Bytes=2-4", range(2, 5)),
        (" bytes=2-4\t", range(2, 5)),
    ],
)
def test_a_single_range_is_taken(header, expected):
    assert parse_range(header, 10) == expected


@pytest.mark.parametrize(
    "header",
    [
        None, "", "bytes", "bytes=", "bytes=-", "bytes=4-2", "bytes=99-98", "bytes=a-b",
        "bytes=1", "bytes=1-2-3", "bytes=+1-2", "bytes=1 - 2", "bytes=--1",
        "bytes=1-2\n", "bytes=0-1,3-4", "bytes=0-1,", "items=0-1", "x bytes=0-1",
        "bytes=\u0661-", "bytes=" + "9" * 5000 + "-",
    ],
)  # fmt: skip
def test_anything_else_is_ignored(header):
    assert parse_range(header, 10) is None


@pytest.mark.parametrize(
    "header", ["bytes=10-", "bytes=10-20", "bytes=99-", "bytes=-0"]
)
def test_a_range_beyond_the_end_cannot_be_satisfied(header):
    with pytest.raises(RangeNotSatisfiable) as caught:
        parse_range(header, 10)
    assert caught.value.size == 10
    assert str(caught.value) == "the range is outside the 10 bytes there are"


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-0", "bytes=1-", "bytes=-0"])
def test_of_nothing_no_byte_can_be_had(header):
    with pytest.raises(RangeNotSatisfiable):
        parse_range(header, 0)


@pytest.mark.parametrize("header", [None, "bytes=-5", "bytes=1-0"])
def test_of_nothing_the_whole_can_be_had(header):
    assert parse_range(header, 0) is None


SOME = st.none() | st.integers(0, 40)


@given(SOME, SOME, st.binary(max_size=30))
def test_the_bytes_are_those_that_slicing_gives(first, last, data):
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    try:
        found = parse_range(header, len(data))
    except RangeNotSatisfiable:
        assert (first is not None and first >= len(data)) or (
            first is None and last == 0
        )
        return
    if found is None:
        empty_suffix = not data and first is None
        assert empty_suffix or last is None or (first is not None and last < first)
    else:
        assert found
        assert found.step == 1
        slice_ = (
            slice(-last, None)
            if first is None
            else slice(first, None if last is None else last + 1)
        )
        assert data[found.start : found.stop] == data[slice_]
