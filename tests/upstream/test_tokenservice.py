import pytest

from nixeryd.upstream import (
    UpstreamBroken,
    UpstreamDenied,
    UpstreamRateLimited,
    UpstreamUnreachable,
    open_upstream,
)
from tests.upstream.faults import HangUp, Reply
from tests.upstream.fixtures import IMAGE, logged_in
from tests.upstream.registries import PASSWORD, USER

REPOSITORY = IMAGE.repository


async def test_a_login_goes_to_the_realm_and_nowhere_else(
    faults, gated, realm, retry_policy
):
    realm.login = (USER, PASSWORD)
    async with open_upstream(
        "hub.test", faults.url, login=logged_in(), retry_policy=retry_policy
    ) as upstream:
        await upstream.get_manifest(REPOSITORY, "latest")
    sent = [r.headers.get("authorization", "") for r in gated.seen]
    assert sent == ["", "Bearer secret-token-0"]


async def test_an_identity_token_is_exchanged(faults, gated, realm, retry_policy):
    realm.refresh_token = "refresh-me"
    login = logged_in("", "", identity_token="refresh-me")
    async with open_upstream(
        "hub.test", faults.url, login=login, retry_policy=retry_policy
    ) as upstream:
        await upstream.get_manifest(REPOSITORY, "latest")
    asked = realm.server.seen[0]
    assert (asked.method, asked.target) == ("POST", "/token")
    assert b"grant_type=refresh_token" in asked.body


async def test_a_wrong_password_is_denied_and_not_told(
    faults, gated, realm, retry_policy
):
    realm.login = (USER, PASSWORD)
    async with open_upstream(
        "hub.test",
        faults.url,
        login=logged_in(password="hush-hush"),
        retry_policy=retry_policy,
    ) as upstream:
        with pytest.raises(UpstreamDenied, match=r"^hub\.test: .* not acc") as caught:
            await upstream.get_manifest(REPOSITORY, "latest")
    assert "hush" not in repr(caught.value)


@pytest.mark.parametrize(
    "challenge",
    [
        'Bearer realm="http://169.254.169.254/token"',
        'Bearer realm="http://localhost/token"',
        'Bearer realm="https://evil.test/token"',
        'Bearer realm="http://127.0.0.1.evil.test/token"',
        'Bearer realm="http://127.0.0.1@evil.test/token"',
        'Bearer realm="file:///etc/passwd"',
        'Bearer realm="//evil.test/"',
        'Bearer realm="/token"',
        'Bearer realm="http://[::1"',
    ],
)
async def test_a_strange_realm_gets_nothing(faults, retry_policy, challenge):
    faults.on("", Reply(401, {"WWW-Authenticate": challenge}))
    async with open_upstream(
        "hub.test", faults.url, login=logged_in(), retry_policy=retry_policy
    ) as upstream:
        with pytest.raises(UpstreamBroken, match=r"^hub\.test: "):
            await upstream.get_manifest(REPOSITORY, "latest")
    assert faults.count() == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b""),
        Reply(body=b"[]"),
        Reply(body=b"{}"),
        Reply(body=b'{"token":7}'),
        Reply(body=b'{"token":"a\\nb"}'),
        Reply(body=b'{"token":"t","expires_in":"soon"}'),
        Reply(body=b"[" * 99_999),
        Reply(body=b'{"token":"' + b"x" * (1 << 20) + b'"}'),
        Reply(404),
        Reply(307, {"Location": "/elsewhere"}),
    ],
)
async def test_an_answer_without_a_token_is_refused(upstream, gated, realm, reply):
    realm.server.on("", reply)
    with pytest.raises(UpstreamBroken, match=r"^hub\.test: its token service"):
        await upstream.get_manifest(REPOSITORY, "latest")
    assert realm.server.count() == 1


async def test_a_token_service_that_stumbles_is_asked_again(upstream, gated, realm):
    realm.server.on("", Reply(503), times=1)
    realm.server.on("", HangUp(), times=1)
    await upstream.get_manifest(REPOSITORY, "latest")
    assert realm.server.count() == 3


@pytest.mark.parametrize(
    ("action", "error"),
    [(Reply(500), UpstreamBroken), (HangUp(), UpstreamUnreachable)],
)
async def test_a_token_service_that_is_down_is_tried_three_times(
    upstream, gated, realm, action, error
):
    realm.server.on("", action)
    with pytest.raises(error, match=r"^hub\.test: .*token service"):
        await upstream.get_manifest(REPOSITORY, "latest")
    assert realm.server.count() == 3


async def test_a_token_service_may_be_over_its_limit(upstream, gated, realm):
    realm.server.on("", Reply(429, {"Retry-After": "60"}))
    with pytest.raises(UpstreamRateLimited) as caught:
        await upstream.get_manifest(REPOSITORY, "latest")
    assert caught.value.retry_after == 60
