import pytest
from hypothesis import given, strategies as st

from nixeryd.runtime.rates import Rate


def test_it_is_the_rate_of_the_last_seconds():
    rate = Rate()
    for second in range(10):
        rate.add(second, second * 100)
    for second in range(10, 20):
        rate.add(second, 900 + (second - 9) * 1000)
    assert rate.per_second(19) == pytest.approx(1000)
    assert rate.left(19, 10_900 + 5000) == pytest.approx(5)


def test_what_stands_still_has_no_end():
    rate = Rate()
    assert rate.per_second(0) == 0
    assert rate.left(0, 100) is None
    rate.add(0, 50)
    assert rate.left(7, 100) is None


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 10**9)), max_size=200))
def test_it_is_never_negative_and_stays_small(steps):
    rate, now = Rate(), 0.0
    for passed, done in steps:
        now += passed
        rate.add(now, done)
        assert rate.per_second(now) >= 0
        assert len(rate._samples) <= 30
