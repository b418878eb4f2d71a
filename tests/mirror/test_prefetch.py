"""Prefetch: after a pull, a client needs no upstream."""

import pytest
import trio

from nixeryd.images.descriptors import Platform
from nixeryd.images.digests import Digest
from nixeryd.images.routes import Upstream as Route
from nixeryd.mirror.prefetch import Prefetch, Wanted
from nixeryd.mirror.progress import Blob, Done, Failed, Phase, Warned
from tests.mirror.conftest import HANG, HOST, ROUTE, TTL, new_image, settle
from tests.mirror.test_manifests import make_index
from tests.upstream.faults import Change, HangUp, Hold, Reply
from tests.upstream.fixtures import IMAGE

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64", "v8")


@pytest.fixture
def prefetch(setup) -> Prefetch:
    return Prefetch(setup.mirror, setup.nursery)


async def pull(prefetch, route=ROUTE, reference="latest", platform=AMD64):
    """Pull to the end; give the events."""
    with (
        trio.fail_after(HANG),
        prefetch.pull(Wanted(route, reference, platform)) as events,
    ):
        return [event async for event in events]


async def test_everything_is_fetched_and_then_offline_is_enough(
    setup, mirror, prefetch, faults
):
    events = await pull(prefetch)
    blobs = {Digest.of(blob) for blob in (IMAGE.config, *IMAGE.layers)}
    size = len(IMAGE.config) + sum(map(len, IMAGE.layers))
    assert events[0] == Phase(phase="resolve")
    assert events[-1] == Done(
        repository=f"{HOST}/{IMAGE.repository}",
        digest=IMAGE.digest,
        size=size,
        cached=False,
    )
    done = {
        event.digest
        for event in events
        if isinstance(event, Blob) and event.done == event.size
    }
    assert done == set(map(str, blobs))
    mirror.set_offline(offline=True)
    assert (await mirror.manifest(ROUTE, "latest")).body == IMAGE.manifest
    for digest in blobs:
        await mirror.blob(ROUTE, digest)
    asked = faults.count()
    again = await pull(prefetch)
    assert again[-1].cached
    assert all(event.cached for event in again if isinstance(event, Blob))
    assert faults.count() == asked


@pytest.mark.parametrize(
    ("platform", "which"), [(AMD64, [0]), (ARM64, [1]), (None, [0, 1])]
)
async def test_of_an_index_what_the_platform_needs_is_fetched(
    setup, prefetch, registry, platform, which
):
    repository = f"test/platforms-{len(which)}-{which[0]}"
    images = [new_image(registry, repository, name) for name in ("a", "b")]
    make_index(registry, repository, images)
    events = await pull(prefetch, Route(HOST, repository), platform=platform)
    assert isinstance(events[-1], Done)
    kept = [Digest.of(image.layers[0]).hex in setup.files for image in images]
    assert kept == [position in which for position in (0, 1)]


async def test_a_platform_that_is_not_there_is_named(prefetch, registry):
    images = [new_image(registry, "test/no-s390x", name) for name in ("a", "b")]
    make_index(registry, "test/no-s390x", images)
    route = Route(HOST, "test/no-s390x")
    (*_, last) = await pull(prefetch, route, platform=Platform("linux", "s390x"))
    assert isinstance(last, Failed)
    assert "linux/s390x" in last.message
    assert "linux/amd64, linux/arm64" in last.message


async def test_an_image_of_too_much_is_refused_before_any_of_it_is_fetched(
    setup, prefetch, faults, monkeypatch
):
    needed = 1 + len(IMAGE.layers)
    monkeypatch.setattr("nixeryd.mirror.prefetch._MOST_BLOBS", needed - 1)
    (*_, last) = await pull(prefetch)
    assert isinstance(last, Failed)
    assert f"{IMAGE.repository} names more than {needed - 1} blobs" in last.message
    assert not faults.count("/blobs/")
    monkeypatch.setattr("nixeryd.mirror.prefetch._MOST_BLOBS", needed)
    assert isinstance((await pull(prefetch))[-1], Done)
    assert faults.count("/blobs/") == needed


async def test_a_platform_that_two_manifests_name_is_fetched_once(
    setup, prefetch, registry
):
    image = new_image(registry, "test/twice", "a")
    make_index(registry, "test/twice", [image, image])
    events = await pull(prefetch, Route(HOST, "test/twice"), platform=None)
    assert events[-1].size == len(image.config) + sum(map(len, image.layers))


async def test_a_digest_can_be_pulled(prefetch):
    events = await pull(prefetch, reference=Digest.parse(IMAGE.digest))
    assert isinstance(events[-1], Done)


@pytest.mark.parametrize(
    ("pattern", "rule"),
    [("/manifests/", Reply(404)), ("/blobs/", HangUp()), ("/blobs/", Reply(403))],
)
async def test_a_failure_is_the_last_event(setup, prefetch, faults, pattern, rule):
    faults.on(pattern, rule)
    *_, last = await pull(prefetch)
    assert isinstance(last, Failed)
    assert HOST in last.message
    await settle(setup)


async def test_an_old_answer_is_a_warning(prefetch, faults, clock):
    await pull(prefetch)
    clock.now += TTL
    faults.on("", Reply(500))
    events = await pull(prefetch)
    assert [HOST in event.message for event in events if isinstance(event, Warned)]
    assert isinstance(events[-1], Done)


async def test_who_leaves_stops_nothing(setup, prefetch, faults):
    hold = Hold()
    faults.on("/blobs/", Change(hold=hold))
    with prefetch.pull(Wanted(ROUTE, "latest", AMD64)):
        await hold.reached.wait()
    hold.release()
    wanted = {Digest.of(blob).hex for blob in (IMAGE.config, *IMAGE.layers)}
    with trio.fail_after(HANG):
        while not wanted <= setup.files:
            await trio.testing.wait_all_tasks_blocked(0.01)
