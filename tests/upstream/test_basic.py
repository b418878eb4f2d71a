import pytest

from nixeryd.upstream import (
    UpstreamDenied,
    open_upstream,
)
from tests.upstream.faults import FaultServer
from tests.upstream.fixtures import IMAGE, logged_in

REPOSITORY = IMAGE.repository


@pytest.fixture
async def private(private_registry, nursery):
    server = FaultServer(private_registry.port)
    await nursery.start(server.run)
    return server


async def test_a_password_is_sent_once_it_is_wanted(private, retry_policy):
    async with open_upstream(
        "hub.test", private.url, login=logged_in(), retry_policy=retry_policy
    ) as upstream:
        await upstream.get_manifest(REPOSITORY, "latest")
        await upstream.get_manifest(REPOSITORY, "latest")
    sent = ["authorization" in request.headers for request in private.seen]
    assert sent == [False, True, True]


async def test_nobody_is_denied_where_a_password_is_wanted(private, retry_policy):
    async with open_upstream(
        "hub.test", private.url, retry_policy=retry_policy
    ) as upstream:
        with pytest.raises(UpstreamDenied, match="none is configured"):
            await upstream.get_manifest(REPOSITORY, "latest")
    assert private.count() == 1


async def test_a_wrong_basic_password_is_denied(private, retry_policy):
    async with open_upstream(
        "hub.test",
        private.url,
        login=logged_in(password="hush-hush"),
        retry_policy=retry_policy,
    ) as upstream:
        for _ in range(2):
            with pytest.raises(UpstreamDenied) as caught:
                await upstream.get_manifest(REPOSITORY, "latest")
            assert "hush" not in repr(caught.value)
    assert private.count() == 3
