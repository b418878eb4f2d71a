"""Sizes: what is read, what is refused, how they are shown."""

import pytest
from hypothesis import given, strategies as st

from nixeryd.images.sizes import SizeError, parse_size, render_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("17", 17),
        ("17B", 17),
        ("20GB", 20_000_000_000),
        ("20 GB", 20_000_000_000),
        ("1.5TiB", 3 * 2**39),
        ("0.5kB", 500),
        ("1KB", 1000),
        ("1KiB", 1024),
        ("1.0009kB", 1000),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_a_size_is_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "20G", "20gb", "20 gigs", "-1GB", "1e9", "1_000", "GB", "1.GB"),
        *(".5GB", "1,5GB", "20GB ", " 20GB", "20  GB", "nan", "inf", "٣GB", "1iB"),
        "20GB\n",
    ],
)
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(SizeError, match="20GB") as refused:
        parse_size(text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["9999999PB", "1" * 5000, "9223372036854775808"])
def test_what_no_disk_holds_is_refused(text):
    with pytest.raises(SizeError, match="more than any disk holds"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (9994, "9.99 kB"),
        (9996, "10.0 kB"),
        (99_960, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (20_000_000_000, "20.0 GB"),
        (2**63 - 1, "9223 PB"),
    ],
)
def test_a_size_is_shown_with_three_digits(size, text):
    assert render_size(size) == text


@given(st.integers(0, 999 * 10**15))
def test_what_is_shown_can_be_read_and_is_near(size):
    assert abs(parse_size(render_size(size)) - size) <= size * 0.006
