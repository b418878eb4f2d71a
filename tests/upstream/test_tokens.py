import pytest
import trio
import trio.testing

from nixeryd.images.digests import Digest
from nixeryd.upstream import (
    Pace,
    UpstreamBroken,
    UpstreamDenied,
    UpstreamNotFound,
    UpstreamRateLimited,
    UpstreamUnreachable,
    open_upstream,
)
from nixeryd.upstream.credentials import Login
from tests.upstream.faults import FaultServer, HangUp, Reply
from tests.upstream.fixtures import IMAGE
from tests.upstream.registries import PASSWORD, USER

REPOSITORY = IMAGE.repository
LAYER_DIGEST = Digest.of(IMAGE.layers[0])


def logged_in(username=USER, password=PASSWORD, **kwargs):
    async def login():
        await trio.lowlevel.checkpoint()
        return Login(username, password, **kwargs)

    return login


@pytest.fixture
def gated(faults, realm):
    """The registry behind a gate that wants a token of `realm`."""
    faults.on("/v2/", realm.gate)
    return faults


# -- Bearer


async def test_a_challenge_is_answered_with_a_token(upstream, gated, realm):
    fetched = await upstream.get_manifest(REPOSITORY, "latest")
    assert fetched.body == IMAGE.manifest
    asked = realm.server.seen[0]
    assert asked.method == "GET"
    assert asked.target == (
        "/token?scope=repository%3Alibrary%2Fhello%3Apull&service=registry.test"
    )
    assert "authorization" not in asked.headers
    assert gated.count() == 2


async def test_a_token_serves_until_it_expires(faults, gated, realm):
    now = [1000.0]
    pace = Pace(clock=lambda: now[0])
    counts = []
    async with open_upstream("hub.test", faults.url, pace=pace) as upstream:
        # a life of 300 seconds, of which the last ten are not used
        for now[0] in (1000.0, 1289.0, 1291.0):
            await upstream.head_manifest(REPOSITORY, "latest")
            counts.append(realm.server.count())
    assert counts == [1, 1, 2]
    assert gated.count() == 4  # one challenge, three answers


async def test_a_token_that_is_rejected_is_renewed_once(upstream, gated, realm):
    await upstream.head_manifest(REPOSITORY, "latest")
    realm.issued = dict.fromkeys(realm.issued, "revoked")
    await upstream.head_manifest(REPOSITORY, "latest")
    assert realm.server.count() == 2


async def test_a_repository_that_stays_closed_is_denied(upstream, gated, realm):
    gated.on("GET", Reply(401, {"WWW-Authenticate": f'Bearer realm="{realm.realm}"'}))
    realm.server.on("", Reply(body=b'{"access_token":"t"}'))
    with pytest.raises(UpstreamDenied, match=r"^hub\.test: answered 401 .* private"):
        await upstream.get_manifest(REPOSITORY, "latest")
    assert (gated.count(), realm.server.count()) == (2, 1)


async def test_tokens_of_other_repositories_are_fetched_ahead(upstream, gated, realm):
    await upstream.head_manifest(REPOSITORY, "latest")
    with pytest.raises(UpstreamNotFound):
        await upstream.head_manifest("other/app", "latest")
    assert gated.count("other/app") == 1
    assert realm.server.count("other%2Fapp") == 1


async def test_all_who_wait_share_one_token(upstream, gated, realm):
    await upstream.head_manifest(REPOSITORY, "latest")
    realm.issued.clear()
    realm.server.on("", realm.hold)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(upstream.get_manifest, REPOSITORY, "latest")
        await gated.wait_for_count(r"GET .*/manifests/", 5)
        await trio.testing.wait_all_tasks_blocked()
        realm.hold.release()
    assert realm.server.count() == 2


async def test_all_who_wait_share_one_failure(upstream, gated, realm):
    refusals = []

    async def pull():
        with pytest.raises(UpstreamDenied) as caught:
            await upstream.get_manifest(REPOSITORY, "latest")
        refusals.append(caught.value)

    realm.server.on("", Reply(403))
    realm.server.on("", realm.hold)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(pull)
        await gated.wait_for_count(r"GET .*/manifests/", 5)
        await trio.testing.wait_all_tasks_blocked()
        realm.hold.release()
    assert realm.server.count() == 1
    assert len({id(error) for error in refusals}) == 5


async def test_who_gives_up_does_not_take_the_token_from_others(upstream, gated, realm):
    realm.server.on("", realm.hold, times=1)
    async with trio.open_nursery() as nursery:
        impatient = trio.CancelScope()

        async def leave():
            with impatient:
                await upstream.get_manifest(REPOSITORY, "latest")

        nursery.start_soon(leave)
        await realm.hold.reached.wait()
        nursery.start_soon(upstream.get_manifest, REPOSITORY, "latest")
        await gated.wait_for_count(r"GET .*/manifests/", 2)
        await trio.testing.wait_all_tasks_blocked()
        impatient.cancel()
    assert impatient.cancelled_caught
    assert realm.server.count() == 2


async def test_a_login_goes_to_the_realm_and_nowhere_else(faults, gated, realm, pace):
    realm.login = (USER, PASSWORD)
    async with open_upstream(
        "hub.test", faults.url, login=logged_in(), pace=pace
    ) as upstream:
        await upstream.get_manifest(REPOSITORY, "latest")
    sent = [r.headers.get("authorization", "") for r in gated.seen]
    assert sent == ["", "Bearer secret-token-0"]


async def test_an_identity_token_is_exchanged(faults, gated, realm, pace):
    realm.refresh_token = "refresh-me"
    login = logged_in("", "", identity_token="refresh-me")
    async with open_upstream(
        "hub.test", faults.url, login=login, pace=pace
    ) as upstream:
        await upstream.get_manifest(REPOSITORY, "latest")
    asked = realm.server.seen[0]
    assert (asked.method, asked.target) == ("POST", "/token")
    assert b"grant_type=refresh_token" in asked.body


async def test_a_wrong_password_is_denied_and_not_told(faults, gated, realm, pace):
    realm.login = (USER, PASSWORD)
    async with open_upstream(
        "hub.test", faults.url, login=logged_in(password="hush-hush"), pace=pace
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
async def test_a_strange_realm_gets_nothing(faults, pace, challenge):
    faults.on("", Reply(401, {"WWW-Authenticate": challenge}))
    async with open_upstream(
        "hub.test", faults.url, login=logged_in(), pace=pace
    ) as upstream:
        with pytest.raises(UpstreamBroken, match=r"^hub\.test: "):
            await upstream.get_manifest(REPOSITORY, "latest")
    assert faults.count() == 1


async def test_a_realm_that_has_moved_is_asked_for_again(upstream, gated, realm):
    await upstream.head_manifest(REPOSITORY, "latest")
    realm.issued.clear()
    realm.server.on("other%2Fapp", Reply(404))
    with pytest.raises(UpstreamBroken):
        await upstream.head_manifest("other/app", "latest")
    assert gated.count("other/app") == 0
    with pytest.raises(UpstreamBroken):
        await upstream.head_manifest("other/app", "latest")
    assert gated.count("other/app") == 1


async def test_a_strange_realm_is_forgotten(upstream, faults):
    wanted = 'Bearer realm="https://evil.test/token"'
    faults.on("", Reply(401, {"WWW-Authenticate": wanted}), times=1)
    with pytest.raises(UpstreamBroken):
        await upstream.get_manifest(REPOSITORY, "latest")
    assert (await upstream.get_manifest(REPOSITORY, "latest")).body == IMAGE.manifest


@pytest.mark.parametrize("challenge", ["", "Negotiate", 'Bearer service="x"', "%%%"])
async def test_an_unknown_challenge_is_denied(upstream, faults, challenge):
    faults.on("", Reply(401, {"WWW-Authenticate": challenge}))
    with pytest.raises(UpstreamDenied, match="in no way that is known"):
        await upstream.get_manifest(REPOSITORY, "latest")


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


async def test_a_scope_of_another_kind_is_the_registrys(upstream, faults, realm):
    wanted = f'Bearer realm="{realm.realm}",service="registry.test",scope="aws"'
    faults.on("", Reply(401, {"WWW-Authenticate": wanted}), times=1)
    await upstream.get_manifest(REPOSITORY, "latest")
    assert "scope=aws&" in realm.server.seen[0].target


# -- Basic


@pytest.fixture
async def private(private_registry, nursery):
    server = FaultServer(private_registry.port)
    await nursery.start(server.run)
    return server


async def test_a_password_is_sent_once_it_is_wanted(private, pace):
    async with open_upstream(
        "hub.test", private.url, login=logged_in(), pace=pace
    ) as upstream:
        await upstream.get_manifest(REPOSITORY, "latest")
        await upstream.get_manifest(REPOSITORY, "latest")
    sent = ["authorization" in request.headers for request in private.seen]
    assert sent == [False, True, True]


async def test_nobody_is_denied_where_a_password_is_wanted(private, pace):
    async with open_upstream("hub.test", private.url, pace=pace) as upstream:
        with pytest.raises(UpstreamDenied, match="none is configured"):
            await upstream.get_manifest(REPOSITORY, "latest")
    assert private.count() == 1


async def test_a_wrong_basic_password_is_denied(private, pace):
    async with open_upstream(
        "hub.test", private.url, login=logged_in(password="hush-hush"), pace=pace
    ) as upstream:
        for _ in range(2):
            with pytest.raises(UpstreamDenied) as caught:
                await upstream.get_manifest(REPOSITORY, "latest")
            assert "hush" not in repr(caught.value)
    assert private.count() == 3
