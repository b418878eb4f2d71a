import pytest
import trio
import trio.testing

from nixeryd.upstream import (
    RetryPolicy,
    UpstreamBroken,
    UpstreamDenied,
    UpstreamNotFound,
    open_upstream,
)
from tests.upstream.faults import Reply
from tests.upstream.fixtures import IMAGE

REPOSITORY = IMAGE.repository


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
    retry_policy = RetryPolicy(clock=lambda: now[0])
    counts = []
    async with open_upstream(
        "hub.test", faults.url, retry_policy=retry_policy
    ) as upstream:
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


async def test_a_scope_of_another_kind_is_the_registrys(upstream, faults, realm):
    wanted = f'Bearer realm="{realm.realm}",service="registry.test",scope="aws"'
    faults.on("", Reply(401, {"WWW-Authenticate": wanted}), times=1)
    await upstream.get_manifest(REPOSITORY, "latest")
    assert "scope=aws&" in realm.server.seen[0].target
