import pytest

from nixeryd.upstream.ratelimit import RateLimit, parse_rate_limit


@pytest.mark.parametrize(
    ("headers", "limit"),
    [
        ({}, None),
        ({"docker-ratelimit-source": "192.0.2.7"}, None),
        ({"ratelimit-limit": "many"}, None),
        (
            {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600"},
            RateLimit(100, 76, 21600, None, 5.0),
        ),
        (
            {"ratelimit-remaining": "0", "docker-ratelimit-source": "192.0.2.7"},
            RateLimit(None, 0, None, "192.0.2.7", 5.0),
        ),
        (
            {"ratelimit-limit": "10", "ratelimit-remaining": "7 ; w=60"},
            RateLimit(10, 7, 60, None, 5.0),
        ),
    ],
)
def test_quota_headers_are_read(headers, limit):
    assert parse_rate_limit(headers, 5.0) == limit
