import copy

import pytest

from nixeryd.images.freshness import Failed, Missing
from nixeryd.upstream import (
    UpstreamBroken,
    UpstreamDenied,
    UpstreamNotFound,
    UpstreamRateLimited,
    UpstreamUnreachable,
    answer_of,
)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (UpstreamNotFound, Missing("hub.test: why")),
        (UpstreamDenied, Missing("hub.test: why")),
        (UpstreamRateLimited, Failed("hub.test: why")),
        (UpstreamBroken, Failed("hub.test: why")),
        (UpstreamUnreachable, Failed("hub.test: why")),
    ],
)
def test_an_error_is_an_answer_or_a_failure(kind, answer):
    assert answer_of(kind("hub.test", "why")) == answer


def test_a_copy_tells_the_same():
    error = UpstreamRateLimited("hub.test", "why", retry_after=7)
    twin = copy.copy(error)
    assert type(twin) is UpstreamRateLimited
    assert (str(twin), twin.retry_after) == ("hub.test: why", 7)
