"""Manifests: by digest for ever, by tag as fresh as the upstream lets us be."""

import json
import ssl
from contextlib import asynccontextmanager
from functools import partial

import pytest
import structlog
import trio
import trustme

from nixeryd.cache.eviction import Evictor
from nixeryd.images.digests import Digest
from nixeryd.images.errors import NixerydError, RegistryError
from nixeryd.images.routes import Upstream as Route
from nixeryd.mirror import manifests
from nixeryd.runtime.offline import Offline
from nixeryd.store.uses import Uses
from tests.mirror.conftest import (
    HANG,
    HOST,
    ROUTE,
    TTL,
    new_image,
    open_mirror,
    requests,
)
from tests.upstream.faults import Change, FaultServer, HangUp, Hold, Reply
from tests.upstream.fixtures import IMAGE
from tests.upstream.registries import CONFIG, INDEX, LAYER, MANIFEST, digest_of

DIGEST = Digest.parse(IMAGE.digest)
OTHER = IMAGE.manifest + b"\n"  # another manifest of the same image


async def not_found(mirror, reference, route=ROUTE) -> str:
    """Ask for what must be a 404; give its message."""
    with pytest.raises(RegistryError) as caught:
        await mirror.manifest(route, reference)
    assert (caught.value.status, caught.value.code) == (404, "MANIFEST_UNKNOWN")
    return caught.value.message


async def denied(mirror, reference, route=ROUTE) -> str:
    """Ask for what can't be had now, a 403; return its message."""
    with pytest.raises(RegistryError) as caught:
        await mirror.manifest(route, reference)
    assert (caught.value.status, caught.value.code) == (403, "DENIED")
    return caught.value.message


async def test_a_tag_is_fetched_once_and_then_kept(mirror, faults):
    first = await mirror.manifest(ROUTE, "latest")
    assert (first.body, first.digest) == (IMAGE.manifest, DIGEST)
    assert (first.media_type, first.age, first.warning) == (MANIFEST, 0, None)
    assert await mirror.manifest(ROUTE, "latest") == first
    assert requests(faults) == ["GET latest"]


async def test_the_age_is_told(mirror, clock):
    await mirror.manifest(ROUTE, "latest")
    clock.now += 42
    assert (await mirror.manifest(ROUTE, "latest")).age == 42


async def test_after_a_while_head_is_enough(mirror, faults, clock):
    await mirror.manifest(ROUTE, "latest")
    clock.now += TTL
    again = await mirror.manifest(ROUTE, "latest")
    assert (again.body, again.age) == (IMAGE.manifest, 0)
    assert requests(faults) == ["GET latest", "HEAD latest"]
    await mirror.manifest(ROUTE, "latest")
    assert faults.count() == 2


async def test_what_a_client_does_costs_one_pull(mirror, faults):
    by_tag = await mirror.manifest(ROUTE, "latest")
    assert (await mirror.manifest(ROUTE, by_tag.digest)).body == IMAGE.manifest
    assert requests(faults) == ["GET latest"]


async def test_a_tag_that_moved_is_seen(mirror, registry, faults, clock):
    route = Route(HOST, "test/moves")
    first = new_image(registry, "test/moves", "latest")
    assert (await mirror.manifest(route, "latest")).body == first.manifest
    second = new_image(registry, "test/moves", "latest")
    assert (await mirror.manifest(route, "latest")).body == first.manifest
    clock.now += TTL
    assert (await mirror.manifest(route, "latest")).body == second.manifest
    assert requests(faults) == ["GET latest", "HEAD latest", "GET latest"]
    # Moved back to what is here: nothing to fetch.
    registry.push(first, "latest")
    clock.now += TTL
    assert (await mirror.manifest(route, "latest")).body == first.manifest
    assert requests(faults)[3:] == ["HEAD latest"]


@pytest.mark.parametrize("stored", [False, True])
async def test_one_question_for_all_who_ask(mirror, faults, clock, stored):
    if stored:
        await mirror.manifest(ROUTE, "latest")
        clock.now += TTL
        faults.seen.clear()
    hold = Hold()
    faults.on("", hold, times=1)
    got = []

    async def ask() -> None:
        got.append((await mirror.manifest(ROUTE, "latest")).digest)

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(ask)
        await hold.reached.wait()
        await trio.testing.wait_all_tasks_blocked()
        hold.release()
    assert got == [DIGEST] * 50
    assert requests(faults) == ["HEAD latest" if stored else "GET latest"]


async def test_by_digest_nothing_is_asked_again(mirror, faults, clock):
    assert (await mirror.manifest(ROUTE, DIGEST)).body == IMAGE.manifest
    clock.now += 1000 * TTL
    mirror.set_offline(offline=True)
    again = await mirror.manifest(ROUTE, DIGEST)
    assert (again.body, again.age, again.warning) == (IMAGE.manifest, None, None)
    assert faults.count() == 1


async def test_by_digest_one_fetch_for_all(mirror, faults):
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(mirror.manifest, ROUTE, DIGEST)
    assert faults.count() == 1


@pytest.mark.parametrize(
    "failure",
    [
        Reply(500),
        Reply(502),
        Reply(429),
        HangUp(),
        Reply(418),
        Change(headers={"Content-Type": "text/html"}),
    ],
)
async def test_an_upstream_that_fails_takes_nothing_away(
    mirror, faults, clock, failure
):
    await mirror.manifest(ROUTE, "latest")
    clock.now += 3 * 3600
    faults.on("", failure)
    with structlog.testing.capture_logs() as logs:
        served = await mirror.manifest(ROUTE, "latest")
    assert (served.body, served.age) == (IMAGE.manifest, 3 * 3600)
    assert "3 hours ago" in served.warning
    assert HOST in served.warning
    assert [entry["log_level"] for entry in logs] == ["warning"]
    assert HOST in logs[0]["error"]
    # Who asks a moment later does not wait for the same again.
    asked = faults.count()
    assert (await mirror.manifest(ROUTE, "latest")).warning == served.warning
    assert faults.count() == asked


async def test_an_upstream_that_recovers_is_believed(
    mirror, faults, clock, monkeypatch
):
    monkeypatch.setattr(manifests, "REMEMBERED", 0.0)
    await mirror.manifest(ROUTE, "latest")
    clock.now += TTL
    faults.on("", Reply(500), times=3)  # as often as it is tried
    assert (await mirror.manifest(ROUTE, "latest")).warning
    again = await mirror.manifest(ROUTE, "latest")
    assert (again.age, again.warning) == (0, None)


async def test_a_silent_upstream_is_not_waited_for(mirror, faults, clock, monkeypatch):
    monkeypatch.setattr(manifests, "PATIENCE", 0.01)
    await mirror.manifest(ROUTE, "latest")
    clock.now += TTL
    hold = Hold()
    faults.on("", hold, times=1)
    served = await mirror.manifest(ROUTE, "latest")
    assert served.body == IMAGE.manifest
    assert "did not answer" in served.warning
    # The question goes on, and its answer counts.
    with trio.fail_after(HANG):
        await hold.reached.wait()
        hold.release()
        while (await mirror.manifest(ROUTE, "latest")).warning:
            await trio.testing.wait_all_tasks_blocked(0.01)
    assert requests(faults) == ["GET latest", "HEAD latest"]


async def test_an_upstream_that_is_silent_from_the_start_is_denied(
    mirror, faults, monkeypatch
):
    monkeypatch.setattr(manifests, "LONG_PATIENCE", 0.01)
    hold = Hold()
    faults.on("", hold)
    assert "did not answer" in await denied(mirror, "latest")
    assert "did not answer" in await denied(mirror, DIGEST)
    hold.release()


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_gone_or_private_is_believed(mirror, faults, clock, status):
    await mirror.manifest(ROUTE, "latest")
    clock.now += TTL
    faults.on("", Reply(status))
    assert HOST in await not_found(mirror, "latest")
    asked = faults.count()
    await not_found(mirror, "latest")
    mirror.set_offline(offline=True)
    await not_found(mirror, "latest")
    # What was pulled by digest still can be.
    assert (await mirror.manifest(ROUTE, DIGEST)).body == IMAGE.manifest
    assert faults.count() == asked


async def test_what_was_gone_may_come_back(mirror, faults, clock):
    await mirror.manifest(ROUTE, "latest")
    clock.now += TTL
    faults.on("", Reply(404), times=1)
    await not_found(mirror, "latest")
    clock.now += TTL
    assert (await mirror.manifest(ROUTE, "latest")).body == IMAGE.manifest


@pytest.mark.parametrize("reference", ["latest", DIGEST])
async def test_offline_what_was_never_pulled_is_denied(mirror, faults, reference):
    mirror.set_offline(offline=True)
    assert "offline" in await denied(mirror, reference)
    assert faults.connections == 0


async def test_without_a_network_only_what_is_near_is_asked(
    tmp_path, faults, retry_policy, clock
):
    no_network = Offline(has_network=lambda: False)
    urls = {HOST: faults.url, "far.test": "https://registry.example"}
    async with open_mirror(
        tmp_path / "x", urls, retry_policy, clock, no_network
    ) as setup:
        await setup.mirror.manifest(ROUTE, "latest")
        far = Route("far.test", "a/b")
        assert "offline" in await denied(setup.mirror, "latest", far)


async def test_offline_a_tag_is_served_with_a_warning(mirror, faults, clock):
    await mirror.manifest(ROUTE, "latest")
    clock.now += 10 * TTL
    mirror.set_offline(offline=True)
    served = await mirror.manifest(ROUTE, "latest")
    assert (served.body, served.age) == (IMAGE.manifest, 600)
    assert "offline" in served.warning
    assert faults.count() == 1


async def test_back_online_it_is_asked_at_once(mirror, faults, clock):
    await mirror.manifest(ROUTE, "latest")
    clock.now += TTL
    faults.on("", HangUp(), times=3)
    assert (await mirror.manifest(ROUTE, "latest")).warning
    mirror.set_offline(offline=True)
    mirror.set_offline(offline=False)
    assert (await mirror.manifest(ROUTE, "latest")).warning is None


async def test_a_dead_upstream_is_asked_once_for_head_and_get(mirror, faults):
    faults.on("", HangUp())
    with structlog.testing.capture_logs() as logs:
        message = await denied(mirror, "latest")
        asked = faults.count()
        assert await denied(mirror, "latest") == message
    assert HOST in message
    assert faults.count() == asked
    assert len(logs) == 1


async def test_a_manifest_that_was_removed_is_fetched_again(setup, mirror, faults):
    await mirror.manifest(ROUTE, "latest")
    setup.blobs.discard([DIGEST])
    assert (await mirror.manifest(ROUTE, "latest")).body == IMAGE.manifest
    setup.blobs.discard([DIGEST])
    assert (await mirror.manifest(ROUTE, DIGEST)).body == IMAGE.manifest
    assert requests(faults) == ["GET latest", "GET latest", f"GET {DIGEST}"]


@asynccontextmanager
async def while_it_is_asked(faults, ask):
    """Ask for something, and give what comes of it; the upstream answers after that."""
    hold = Hold()
    faults.on("", hold, times=1)
    got = []

    async def run() -> None:
        got.append(await ask())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await hold.reached.wait()
        yield got
        hold.release()


async def test_a_manifest_that_is_removed_while_its_tag_is_checked_is_fetched_again(
    setup, mirror, faults, clock
):
    """The upstream confirmed it, and it was a 404 (found by torture)."""
    await mirror.manifest(ROUTE, "latest")
    clock.now += TTL
    async with while_it_is_asked(
        faults, partial(mirror.manifest, ROUTE, "latest")
    ) as got:
        setup.index.names.forget([str(DIGEST)], [str(DIGEST)])
        for moved in setup.blobs.discard([DIGEST]):
            moved.unlink()
    assert [manifest.body for manifest in got] == [IMAGE.manifest]
    assert requests(faults) == ["GET latest", "HEAD latest", "GET latest"]


async def test_what_is_removed_while_the_upstream_fails_is_not_served(
    setup, mirror, faults, clock
):
    """Damage that a check found: no lease keeps that."""
    await mirror.manifest(ROUTE, "latest")
    clock.now += TTL
    faults.on("", Reply(500))
    async with while_it_is_asked(faults, partial(denied, mirror, "latest")) as told:
        setup.index.names.forget([str(DIGEST)], [str(DIGEST)])
        setup.blobs.discard([DIGEST])
    (message,) = told
    assert message.endswith("latest: its manifest was removed a moment ago; ask again")


async def test_room_is_not_made_with_a_manifest_whose_tag_is_being_checked(
    setup, mirror, faults, clock
):
    """An upstream that fails then would have taken it away."""
    await mirror.manifest(ROUTE, "latest")
    clock.now += TTL
    faults.on("", Reply(500))
    uses = Uses(setup.index, setup.blobs.leases)
    evictor = Evictor(
        setup.blobs, setup.index, setup.places.index, uses, cap=None, now=lambda: 1e11
    )
    async with while_it_is_asked(
        faults, partial(mirror.manifest, ROUTE, "latest")
    ) as got:
        await evictor.evict(0, spare_pulls=False)
    assert [manifest.body for manifest in got] == [IMAGE.manifest]
    await evictor.evict(0, spare_pulls=False)
    assert DIGEST not in setup.blobs


async def test_a_manifest_that_is_removed_while_it_is_kept_again_stays(
    setup, mirror, monkeypatch
):
    """It was there already, and an rm took it and its row (found by torture)."""
    put = setup.blobs.put
    uses = Uses(setup.index, setup.blobs.leases)
    evictor = Evictor(setup.blobs, setup.index, setup.places.index, uses, cap=None)

    def put_and_lose(body):
        digest = put(body)
        trio.from_thread.run(evictor.discard, [str(digest)])
        return digest

    monkeypatch.setattr(setup.blobs, "put", put_and_lose)
    assert (await mirror.manifest(ROUTE, "latest")).digest == DIGEST
    assert DIGEST in setup.blobs
    assert setup.index.manifest(DIGEST) is not None


async def test_room_is_not_made_with_a_manifest_that_is_being_kept(setup, mirror):
    """It was there without a row, and its turn had come (found by torture)."""
    setup.blobs.put(IMAGE.manifest)

    def keep_in_between():
        trio.from_thread.run(mirror.manifest, ROUTE, "latest")
        return 1e11  # a plan, in a thread, asks for the time: all is old

    uses = Uses(setup.index, setup.blobs.leases)
    evictor = Evictor(
        *(setup.blobs, setup.index, setup.places.index, uses),
        cap=None,
        now=keep_in_between,
    )
    await evictor.evict(0, spare_pulls=False)
    assert (setup.index.manifest(DIGEST) is None) == (DIGEST not in setup.blobs)
    assert setup.blobs.leases.of_builds() == set()


async def test_a_manifest_is_known_with_its_place_or_not_at_all(
    setup, mirror, monkeypatch
):
    """Without it, it was taken for ours, with all its blobs (found by torture)."""

    def fail(*_):
        raise NixerydError("the disk is full")

    monkeypatch.setattr(setup.index.mirrored, "insert_manifest", fail)
    with pytest.raises(RegistryError):
        await mirror.manifest(ROUTE, "latest")
    assert setup.index.manifest(DIGEST) is None
    assert setup.index.mirrored.places(DIGEST) == []


async def test_after_a_restart_everything_is_there(
    tmp_path, faults, retry_policy, clock
):
    for _ in range(2):
        async with open_mirror(
            tmp_path / "kept", {HOST: faults.url}, retry_policy, clock
        ) as setup:
            served = await setup.mirror.manifest(ROUTE, "latest")
            assert served.body == IMAGE.manifest
            assert setup.index.mirrored.places(DIGEST)[0].repository == IMAGE.repository
            known = setup.index.manifest(DIGEST)
            assert Digest.of(IMAGE.layers[0]) in known.blobs
    assert faults.count() == 1


async def test_an_index_that_cannot_be_written_takes_nothing_away(
    setup, mirror, faults, clock
):
    await mirror.manifest(ROUTE, "latest")
    clock.now += TTL
    setup.index.mirrored._db.execute("PRAGMA query_only = ON")
    with structlog.testing.capture_logs() as logs:
        again = await mirror.manifest(ROUTE, "latest")
    assert (again.body, again.age, again.warning) == (IMAGE.manifest, 0, None)
    assert [entry["event"] for entry in logs] == ["a tag cannot be noted"]
    # What is new cannot be kept, and clients go on to the registry itself.
    other = Route(HOST, "other/app")
    faults.on("other", Reply(headers={"Content-Type": MANIFEST}, body=OTHER))
    assert "cannot be used" in await denied(mirror, Digest.of(OTHER), other)
    setup.index.mirrored._db.execute("PRAGMA query_only = OFF")
    assert (await mirror.manifest(other, Digest.of(OTHER))).body == OTHER


async def test_a_clock_set_back_proves_nothing_fresh(mirror, faults, clock):
    await mirror.manifest(ROUTE, "latest")
    clock.now -= 10 * TTL
    assert (await mirror.manifest(ROUTE, "latest")).age == 0
    assert requests(faults) == ["GET latest", "HEAD latest"]


async def test_an_index_is_kept_and_its_children_come_when_asked_for(
    setup, mirror, faults, registry
):
    images = [new_image(registry, "test/index", name) for name in ("amd64", "arm64")]
    index = make_index(registry, "test/index", images)
    route = Route(HOST, "test/index")
    served = await mirror.manifest(route, "latest")
    assert (served.body, served.media_type) == (index, INDEX)
    assert requests(faults) == ["GET latest"]
    child = Digest.parse(images[1].digest)
    assert (await mirror.manifest(route, child)).body == images[1].manifest
    assert requests(faults)[1:] == [f"GET {child}"]
    assert child.hex in setup.files
    assert Digest.parse(images[0].digest).hex not in setup.files


def make_index(registry, repository, images) -> bytes:
    body = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [
                {
                    "mediaType": MANIFEST,
                    "digest": image.digest,
                    "size": len(image.manifest),
                    "platform": {"os": "linux", "architecture": architecture},
                }
                for image, architecture in zip(images, ("amd64", "arm64"), strict=True)
            ],
        }
    ).encode()
    registry.push_manifest(repository, "latest", body, INDEX)
    return body


def image_with(**changes) -> bytes:
    blob = {"mediaType": CONFIG, "digest": digest_of(b"x"), "size": 1}
    layer = {"mediaType": LAYER, "digest": digest_of(b"y"), "size": 1}
    image = {"schemaVersion": 2, "config": blob, "layers": [layer]}
    return json.dumps(image | changes).encode()


@pytest.mark.parametrize(
    "reply",
    [
        Change(corrupt_at=5),
        Change(headers={"Content-Type": "text/html"}),
        Change(headers={"Content-Type": None}),
        Change(
            headers={
                "Content-Type": "application/vnd.docker.distribution.manifest.v1+json"
            }
        ),
        Reply(200, {"Content-Type": MANIFEST}, b" " * (4 << 20) + b"{}"),
        Reply(200, {"Content-Type": MANIFEST}, b'{"schemaVersion":2'),
        Reply(200, {"Content-Type": MANIFEST}, b'{"schemaVersion":1}'),
        Reply(200, {"Content-Type": MANIFEST}, b'{"schemaVersion":2}'),
        Reply(200, {"Content-Type": MANIFEST}, image_with(layers={})),
        Reply(200, {"Content-Type": MANIFEST}, image_with(config={"size": 1})),
        Reply(
            200,
            {"Content-Type": MANIFEST},
            image_with(config={"digest": "sha512:ab", "size": 1}),
        ),
        Reply(
            200,
            {"Content-Type": MANIFEST},
            image_with(config={"digest": digest_of(b""), "size": -1}),
        ),
        Reply(200, {"Content-Type": INDEX}, b'{"schemaVersion":2,"manifests":7}'),
        Change(cut_after=10),
        Reply(307, {"Location": "/v2/library/hello/manifests/latest"}),
        Reply(307, {"Location": "http://169.254.169.254/"}),
        Reply(401, {"WWW-Authenticate": 'Bearer realm="http://evil.test/token"'}),
    ],
)
async def test_what_is_no_manifest_is_denied_and_not_kept(setup, mirror, faults, reply):
    faults.on("", reply)
    with structlog.testing.capture_logs() as logs:
        message = await denied(mirror, "latest")
    assert setup.files == set()
    assert setup.staged == []
    assert len(logs) == 1
    assert HOST in f"{logs[0]['image']} {logs[0]['error']}"
    assert HOST in message


async def test_a_token_service_that_is_down_is_denied(mirror, gated, realm):
    realm.server.on("", HangUp())
    with structlog.testing.capture_logs() as logs:
        assert "token service" in await denied(mirror, "latest")
    assert HOST in logs[0]["error"]


async def test_a_bad_certificate_is_denied(tmp_path, retry_policy, clock, nursery):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost", "127.0.0.1").configure_cert(context)
    server = FaultServer(tls=context)
    await nursery.start(server.run)
    async with open_mirror(
        tmp_path / "tls", {HOST: server.url}, retry_policy, clock
    ) as setup:
        with structlog.testing.capture_logs() as logs:
            assert "certificate" in await denied(setup.mirror, "latest")
    assert HOST in logs[0]["error"]
    assert server.seen == []
