"""Areas in proportion to sizes, that fill the rectangle and do not overlap."""

import itertools

import pytest
from hypothesis import given, strategies as st

from nixeryd.web.dashboard.treemap import Area, lay_out

SIZES = st.lists(st.integers(0, 10**9), max_size=40).map(
    lambda sizes: sorted(sizes, reverse=True)
)


@given(SIZES, st.integers(1, 2000), st.integers(1, 2000))
def test_areas_are_in_proportion_and_within(sizes, width, height):
    areas = lay_out(sizes, width, height)
    total = sum(sizes)
    for size, area in zip(sizes, areas, strict=True):
        if size == 0:
            assert area == Area(0, 0, 0, 0)
            continue
        share = size / total * width * height
        assert area.width * area.height == pytest.approx(share, rel=1e-6)
        assert -1e-6 <= area.x <= area.x + area.width <= width * (1 + 1e-6)
        assert -1e-6 <= area.y <= area.y + area.height <= height * (1 + 1e-6)


@given(SIZES)
def test_no_two_overlap(sizes):
    areas = [area for area in lay_out(sizes, 1000, 500) if area.width]
    for one, other in itertools.combinations(areas, 2):
        across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
        down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
        assert min(across, down) <= 1e-6 * 1000


def test_areas_are_about_square():
    # The paper's own example.
    areas = lay_out([6, 6, 4, 3, 2, 2, 1], 6, 4)
    assert (areas[0], areas[1]) == (Area(0, 0, 3, 2), Area(0, 2, 3, 2))
    worst = max(max(a.width / a.height, a.height / a.width) for a in areas)
    assert worst < 3.1
