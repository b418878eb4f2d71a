"""Two registries with one blob: neither speaks for the other."""

from collections.abc import AsyncIterator

import pytest
import structlog
import trio

from nixeryd.images.digests import Digest
from nixeryd.images.errors import NixerydError
from nixeryd.images.routes import Upstream as Route
from nixeryd.images.served_manifests import BlobFile, BlobHead
from tests.mirror.conftest import (
    HOST,
    LAYER,
    LAYER_DIGEST,
    ROUTE,
    Setup,
    open_mirror,
    read,
    read_on,
    read_some,
    settle,
)
from tests.upstream.faults import Change, FaultServer, Hold, Reply
from tests.upstream.fixtures import IMAGE

OTHER = Route("other.test", IMAGE.repository)
BLOBS = "GET .*/blobs/"


@pytest.fixture
async def other(registry, nursery) -> FaultServer:
    """Another way to the same registry."""
    server = FaultServer(registry.port)
    await nursery.start(server.run)
    return server


@pytest.fixture
async def setup(tmp_path, faults, other, retry_policy, clock) -> AsyncIterator[Setup]:
    urls = {HOST: faults.url, OTHER.host: other.url}
    async with open_mirror(tmp_path / "data", urls, retry_policy, clock) as made:
        yield made


async def test_who_drips_delays_nobody_else(setup, mirror, faults, other):
    hold = Hold()
    faults.on(BLOBS, Change(hold=hold, hold_after=100_000))
    async with (await mirror.blob(ROUTE, LAYER_DIGEST)).open(range(10)) as slow:
        await read_some(slow)
        assert await read(await mirror.blob(OTHER, LAYER_DIGEST)) == LAYER
    assert other.count(BLOBS) == 1
    hold.release()


async def test_whoever_is_first_serves_both(setup, mirror, faults):
    hold = Hold()
    faults.on(BLOBS, Change(hold=hold, hold_after=100_000))
    blob = await mirror.blob(ROUTE, LAYER_DIGEST)
    got = bytearray()
    async with blob.open(range(blob.size)) as slow:
        got += await read_some(slow)
        await read(await mirror.blob(OTHER, LAYER_DIGEST))
        await read_on(slow, got)
    await settle(setup)
    assert bytes(got) == LAYER
    assert (setup.files, setup.staged) == ({LAYER_DIGEST.hex}, [])
    hold.release()


async def test_who_waits_for_a_silent_one_is_served_too(setup, mirror, faults):
    hold = Hold()
    faults.on(BLOBS, hold)
    got = []

    async def wait() -> None:
        got.append(await mirror.blob(ROUTE, LAYER_DIGEST))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await hold.reached.wait()
        await read(await mirror.blob(OTHER, LAYER_DIGEST))
    assert got[0].size == len(LAYER)
    hold.release()


async def test_wrong_bytes_are_not_mended_for_who_has_read_some(setup, mirror, faults):
    hold = Hold()
    faults.on(BLOBS, Change(corrupt_at=5, hold=hold, hold_after=100_000))
    blob = await mirror.blob(ROUTE, LAYER_DIGEST)
    got = bytearray()
    async with blob.open(range(blob.size)) as slow:
        got += await read_some(slow)
        await read(await mirror.blob(OTHER, LAYER_DIGEST))
        with pytest.raises(NixerydError, match=r"hub\.test: was sending other bytes"):
            await read_on(slow, got)
    assert len(got) < len(LAYER)
    assert isinstance(await mirror.blob(ROUTE, LAYER_DIGEST), BlobFile)
    hold.release()


async def test_a_lie_about_the_length_is_told_to_nobody_else(setup, mirror, faults):
    lie = {"Content-Length": str(len(LAYER) + 1)}
    hold = Hold()
    faults.on(BLOBS, Change(headers=lie, hold=hold, hold_after=100_000))
    blob = await mirror.blob(ROUTE, LAYER_DIGEST)
    assert blob.size == len(LAYER) + 1
    head = await mirror.blob_head(OTHER, LAYER_DIGEST)
    assert head == BlobHead(len(LAYER), LAYER_DIGEST)
    assert await read(await mirror.blob(OTHER, LAYER_DIGEST)) == LAYER
    with structlog.testing.capture_logs():
        await settle(setup)
    with pytest.raises(NixerydError):
        await read(blob)
    hold.release()


async def test_what_one_has_not_another_may(setup, mirror, faults):
    faults.on(BLOBS, Reply(404))
    with pytest.raises(NixerydError):
        await mirror.blob(ROUTE, LAYER_DIGEST)
    assert await read(await mirror.blob(OTHER, LAYER_DIGEST)) == LAYER


# States no type of its own: it is of the type that a registry says.
UNTYPED = b'{"schemaVersion":2,"manifests":[]}'
OCI = "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.list.v2+json"


async def test_a_type_belongs_to_where_it_came_from(mirror, faults, other):
    faults.on("manifests", Reply(headers={"Content-Type": DOCKER}, body=UNTYPED))
    other.on("manifests", Reply(headers={"Content-Type": OCI}, body=UNTYPED))
    digest = Digest.of(UNTYPED)
    for _ in range(2):
        for reference in ("latest", digest):
            assert (await mirror.manifest(ROUTE, reference)).media_type == DOCKER
            assert (await mirror.manifest(OTHER, reference)).media_type == OCI
    # Each was asked itself, once.
    assert faults.count("GET .*manifests") == other.count("GET .*manifests") == 1


async def test_bytes_that_state_their_type_are_asked_for_once(mirror, faults, other):
    first = await mirror.manifest(ROUTE, Digest.parse(IMAGE.digest))
    assert await mirror.manifest(OTHER, first.digest) == first
    assert other.count() == 0
