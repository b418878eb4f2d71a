import pytest

from nixeryd.upstream import RetryPolicy, UpstreamError
from nixeryd.upstream.retry_policy import parse_retry_after

# 2026-11-24T12:00:00Z
NOON = 1795521600.0


def failing(times: int, error: UpstreamError):
    calls = []

    async def attempt() -> int:
        calls.append(None)
        if len(calls) <= times:
            raise error
        return len(calls)

    return attempt


async def test_success_needs_no_wait(retry_policy, waits):
    assert await retry_policy.retry(failing(0, UpstreamError("u", "x"))) == 1
    assert waits.seconds == []


async def test_waits_double(retry_policy, waits):
    error = UpstreamError("u", "x", transient=True)
    assert await retry_policy.retry(failing(2, error)) == 3
    assert waits.seconds == [0.25, 0.5]


async def test_a_lasting_error_is_not_repeated(retry_policy, waits):
    with pytest.raises(UpstreamError):
        await retry_policy.retry(failing(1, UpstreamError("u", "x")))
    assert waits.seconds == []


async def test_what_was_tried_enough_is_no_longer_transient(retry_policy):
    error = UpstreamError("u", "x", transient=True)
    with pytest.raises(UpstreamError):
        await retry_policy.retry(failing(3, error))
    assert not error.transient


@pytest.mark.parametrize(
    ("retry_after", "made", "wait"),
    [
        (None, 1, 0.125),
        (None, 2, 0.25),
        (None, 3, None),
        (3.0, 1, 3.0),
        (10.0, 2, 10.0),
        (10.1, 1, None),
        (-1.0, 1, 0.0),
        (3.0, 3, None),
    ],
)
def test_the_wait_after_a_failure(retry_after, made, wait):
    error = UpstreamError("u", "x", transient=True, retry_after=retry_after)
    assert RetryPolicy(jitter=lambda: 0.0).wait_after(error, made) == wait


def test_no_wait_is_longer_than_the_longest():
    error = UpstreamError("u", "x", transient=True)
    retry_policy = RetryPolicy(attempts=60, jitter=lambda: 1.0)
    assert retry_policy.wait_after(error, 50) == 10.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("9" * 400, 999_999_999.0),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("Tue, 24 Nov 2026 12:01:00 GMT", 60.0),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0.0),
        ("Tue, 99 Nov 2026 11:00:00 GMT", None),
        ("soon", None),
    ],
)
def test_retry_after_is_read(value, seconds):
    assert parse_retry_after(value, NOON) == seconds
