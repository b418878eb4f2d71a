"""Blobs: fetched once, served while they arrive, stored only when right."""

import pytest
import structlog
import trio
import trio.testing

from nixeryd.builder.build_monitor import BuildMonitor
from nixeryd.builder.history import History
from nixeryd.daemon.activity import Live
from nixeryd.images.digests import Digest
from nixeryd.images.errors import NixerydError, RegistryError
from nixeryd.images.routes import Upstream as Route
from nixeryd.images.served_manifests import BlobFile, BlobHead
from nixeryd.mirror.pieces import BUFFERED, Pieces
from nixeryd.runtime.changes import Changes
from nixeryd.runtime.flight import Stopping
from tests.mirror.conftest import (
    HANG,
    HOST,
    LAYER,
    LAYER_DIGEST,
    ROUTE,
    open_mirror,
    read,
    read_on,
    read_some,
    settle,
)
from tests.upstream.faults import Change, HangUp, Hold, Reply
from tests.upstream.fixtures import IMAGE

BLOBS = "GET .*/blobs/"


async def test_a_blob_comes_whole_and_is_kept(setup, mirror, faults):
    assert await read(await mirror.blob(ROUTE, LAYER_DIGEST)) == LAYER
    await settle(setup)
    kept = await mirror.blob(ROUTE, LAYER_DIGEST)
    assert isinstance(kept, BlobFile)
    assert kept.path.read_bytes() == LAYER
    assert faults.count() == 1
    assert setup.staged == []


async def test_however_many_ask_it_is_fetched_once(setup, mirror, faults):
    got = []

    async def ask() -> None:
        got.append(await read(await mirror.blob(ROUTE, LAYER_DIGEST)))

    hold = Hold()
    faults.on(BLOBS, Change(hold=hold))
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(ask)
        await hold.reached.wait()
        await trio.testing.wait_all_tasks_blocked()
        hold.release()
    assert got == [LAYER] * 20
    assert faults.count() == 1


async def test_the_first_bytes_are_there_while_the_rest_is_not(setup, mirror, faults):
    hold = Hold()
    faults.on(BLOBS, Change(hold=hold, hold_after=100_000))
    blob = await mirror.blob(ROUTE, LAYER_DIGEST)
    got = bytearray()
    async with blob.open(range(blob.size)) as first:
        while len(got) < 100_000:
            got += await read_some(first)
        assert bytes(got) == LAYER[:100_000]
        # A later one reads what is there, and follows.
        later = await mirror.blob(ROUTE, LAYER_DIGEST)
        async with later.open(range(later.size)) as second:
            assert (await read_some(second))[:1000] == LAYER[:1000]
            # A part that has arrived is whole, before the rest comes.
            assert await read(later, range(50_000, 60_000)) == LAYER[50_000:60_000]
            hold.release()
        await read_on(first, got)
    assert bytes(got) == LAYER
    assert faults.count() == 1


async def test_who_leaves_stops_nothing(setup, mirror, faults):
    hold = Hold()
    faults.on(BLOBS, Change(hold=hold, hold_after=100_000))
    blob = await mirror.blob(ROUTE, LAYER_DIGEST)
    with trio.CancelScope() as leaving:
        async with blob.open(range(blob.size)) as stream:
            await read_some(stream)
            leaving.cancel()
            await read_some(stream)
    assert leaving.cancelled_caught
    hold.release()
    await settle(setup)
    assert setup.files == {LAYER_DIGEST.hex}
    assert faults.count() == 1


async def test_who_leaves_before_the_first_byte_stops_nothing(setup, mirror, faults):
    hold = Hold()
    faults.on(BLOBS, hold)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mirror.blob, ROUTE, LAYER_DIGEST)
        await hold.reached.wait()
        nursery.cancel_scope.cancel()
    hold.release()
    await settle(setup)
    assert setup.files == {LAYER_DIGEST.hex}


async def test_a_slow_reader_slows_nobody(setup, mirror):
    blob = await mirror.blob(ROUTE, LAYER_DIGEST)
    async with blob.open(range(blob.size)) as slow:
        await settle(setup)
        assert setup.files == {LAYER_DIGEST.hex}
        # Removed in the meantime: what was opened can be read to its end.
        setup.blobs.discard([LAYER_DIGEST])
        got = bytearray()
        await read_on(slow, got)
    assert bytes(got) == LAYER


async def test_what_was_given_before_the_end_can_be_opened_after_it(setup, mirror):
    blob = await mirror.blob(ROUTE, LAYER_DIGEST)
    await settle(setup)
    assert await read(blob) == LAYER


async def test_what_is_removed_before_it_is_opened_is_told(setup, mirror):
    """Headers were sent, and then it was evicted: no defect."""
    blob = await mirror.blob(ROUTE, LAYER_DIGEST)
    await mirror.downloads.running()[0].wait_until_ended()
    setup.blobs.discard([LAYER_DIGEST])
    with pytest.raises(NixerydError, match="removed a moment ago"):
        await read(blob)


async def test_wrong_bytes_reach_nobody_whole_and_are_not_kept(setup, mirror, faults):
    faults.on(BLOBS, Change(corrupt_at=len(LAYER) - 5))
    blob = await mirror.blob(ROUTE, LAYER_DIGEST)
    got = bytearray()
    with structlog.testing.capture_logs() as logs:
        async with blob.open(range(blob.size)) as stream:
            with pytest.raises(NixerydError, match=r"^hub\.test: .*digest"):
                await read_on(stream, got)
        await settle(setup)
    assert len(got) < len(LAYER)
    assert setup.files == set()
    assert setup.staged == []
    assert [entry["log_level"] for entry in logs] == ["warning"]
    assert HOST in logs[0]["error"]


async def test_after_wrong_bytes_the_next_who_asks_gets_the_right_ones(
    setup, mirror, faults
):
    faults.on(BLOBS, Change(corrupt_at=0), times=1)
    blob = await mirror.blob(ROUTE, LAYER_DIGEST)
    with pytest.raises(NixerydError):
        await read(blob)
    assert await read(await mirror.blob(ROUTE, LAYER_DIGEST)) == LAYER


async def test_a_small_blob_is_answered_only_when_it_is_right(setup, mirror, faults):
    faults.on(BLOBS, Change(corrupt_at=0))
    with pytest.raises(RegistryError, match="digest") as caught:
        await mirror.blob(ROUTE, Digest.of(IMAGE.config))
    assert caught.value.status == 403
    assert setup.files == set()


async def test_an_empty_blob_is_a_blob(setup, mirror):
    empty = Digest.of(b"")
    assert await read(await mirror.blob(ROUTE, empty)) == b""
    await settle(setup)
    assert setup.files == {empty.hex}


async def test_a_broken_download_goes_on_where_it_broke(setup, mirror, faults):
    faults.on(BLOBS, Change(cut_after=100_000), times=1)
    assert await read(await mirror.blob(ROUTE, LAYER_DIGEST)) == LAYER
    ranges = [asked.headers.get("range") for asked in faults.asked(BLOBS)]
    assert ranges == [None, "bytes=100000-"]


async def test_it_goes_on_with_an_upstream_that_knows_no_ranges(mirror, faults):
    faults.on(BLOBS, Change(ignore_range=True))
    faults.on(BLOBS, Change(cut_after=100_000), times=1)
    assert await read(await mirror.blob(ROUTE, LAYER_DIGEST)) == LAYER
    assert faults.count(BLOBS) == 2


async def test_a_download_that_breaks_again_and_again_comes_at_last(mirror, faults):
    # Each connection gives some more.
    faults.on(BLOBS, Change(cut_after=120_000), times=2)
    assert await read(await mirror.blob(ROUTE, LAYER_DIGEST)) == LAYER
    assert faults.count(BLOBS) == 3


async def test_a_dead_upstream_is_given_up(setup, mirror, faults, waits):
    faults.on(BLOBS, HangUp())
    faults.on(BLOBS, Change(cut_after=100_000), times=1)
    blob = await mirror.blob(ROUTE, LAYER_DIGEST)
    with pytest.raises(NixerydError, match=r"^hub\.test: "):
        await read(blob)
    await settle(setup)
    assert faults.count(BLOBS) < 20
    assert waits.seconds
    assert setup.files == set()
    assert setup.staged == []


async def test_another_size_in_the_middle_is_an_error(setup, mirror, faults):
    end = len(LAYER) - 1
    lie = {"Content-Range": f"bytes 100000-{end}/{len(LAYER) + 1}"}
    faults.on(BLOBS, Change(headers=lie))
    faults.on(BLOBS, Change(cut_after=100_000), times=1)
    blob = await mirror.blob(ROUTE, LAYER_DIGEST)
    with pytest.raises(NixerydError, match="another size"):
        await read(blob)


async def test_a_size_that_is_not_told_is_waited_for(setup, mirror, faults):
    faults.on(BLOBS, Change(headers={"Content-Length": None}))
    blob = await mirror.blob(ROUTE, LAYER_DIGEST)
    assert blob.size == len(LAYER)
    assert await read(blob) == LAYER


async def test_a_staging_directory_that_is_gone_is_told(setup, mirror):
    setup.places.staging.rmdir()
    with pytest.raises(RegistryError, match="cannot be stored") as caught:
        await mirror.blob(ROUTE, LAYER_DIGEST)
    assert caught.value.status == 403
    setup.places.staging.mkdir()
    assert await read(await mirror.blob(ROUTE, LAYER_DIGEST)) == LAYER


async def test_a_disk_that_is_slow_holds_the_upstream_up():
    """Not all that comes is kept in memory: who brings it waits for room."""
    pieces = Pieces()
    brought = []

    async def bring():
        for _ in range(5):
            await pieces.put(bytes(BUFFERED // 2))
            brought.append(True)
        pieces.end()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(bring)
        await trio.testing.wait_all_tasks_blocked()
        assert len(brought) == 2
        assert len(await pieces.take()) == 2
        await trio.testing.wait_all_tasks_blocked()
        assert len(brought) == 4
        assert len(await pieces.take()) == 2
        assert len(await pieces.take()) == 1
        assert await pieces.take() == []


async def test_a_size_that_an_upstream_does_not_tell_is_denied(mirror, faults):
    faults.on("HEAD .*/blobs/", Change(headers={"Content-Length": None}))
    with pytest.raises(RegistryError, match="does not say how large") as caught:
        await mirror.blob_head(ROUTE, LAYER_DIGEST)
    assert caught.value.status == 403


async def test_a_blob_that_no_disk_can_hold_is_not_begun(setup, mirror, faults):
    faults.on(BLOBS, Reply(length=10**18))
    with pytest.raises(RegistryError, match="does not fit") as caught:
        await mirror.blob(ROUTE, LAYER_DIGEST)
    assert caught.value.status == 403
    assert setup.staged == []


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (Reply(404), ("BLOB_UNKNOWN", "info")),
        (Reply(401), ("BLOB_UNKNOWN", "info")),
        (Reply(403), ("BLOB_UNKNOWN", "info")),
        (Reply(429), ("DENIED", "warning")),
        (Reply(500), ("DENIED", "warning")),
        (HangUp(), ("DENIED", "warning")),
    ],
)
async def test_what_is_not_there_is_404_and_what_fails_is_denied(
    setup, mirror, faults, rule, told
):
    faults.on(BLOBS, rule)
    with structlog.testing.capture_logs() as logs:
        with pytest.raises(RegistryError, match=r"hub\.test") as caught:
            await mirror.blob(ROUTE, LAYER_DIGEST)
        await settle(setup)
    (entry,) = logs
    assert (caught.value.code, entry["log_level"]) == told
    assert setup.staged == []


async def test_the_size_is_asked_for_without_fetching(setup, mirror, faults):
    assert await mirror.blob_head(ROUTE, LAYER_DIGEST) == BlobHead(
        len(LAYER), LAYER_DIGEST
    )
    assert [asked.method for asked in faults.seen] == ["HEAD"]
    assert setup.files == set()


async def test_the_size_is_known_of_what_is_on_its_way_or_here(setup, mirror, faults):
    hold = Hold()
    faults.on(BLOBS, Change(hold=hold, hold_after=100_000))
    await mirror.blob(ROUTE, LAYER_DIGEST)
    assert (await mirror.blob_head(ROUTE, LAYER_DIGEST)).size == len(LAYER)
    hold.release()
    await settle(setup)
    assert (await mirror.blob_head(ROUTE, LAYER_DIGEST)).size == len(LAYER)
    assert faults.count() == 1


async def test_the_size_of_what_is_nowhere_is_404(mirror):
    with pytest.raises(RegistryError) as caught:
        await mirror.blob_head(ROUTE, Digest("0" * 64))
    assert caught.value.status == 404


async def test_one_repositorys_failure_is_not_anothers(setup, mirror, faults):
    hold = Hold()
    faults.on("GET /v2/private/", Reply(403))
    faults.on("GET /v2/private/", hold, times=1)
    async with trio.open_nursery() as nursery:

        async def ask_in_vain() -> None:
            with pytest.raises(RegistryError):
                await mirror.blob(Route(HOST, "private/app"), LAYER_DIGEST)

        nursery.start_soon(ask_in_vain)
        await hold.reached.wait()
        got = []

        async def ask() -> None:
            got.append(await read(await mirror.blob(ROUTE, LAYER_DIGEST)))

        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        hold.release()
    assert got == [LAYER]


async def test_offline_nothing_is_asked(setup, mirror, faults):
    mirror.set_offline(offline=True)
    for ask in (mirror.blob, mirror.blob_head):
        with pytest.raises(RegistryError, match="offline") as caught:
            await ask(ROUTE, LAYER_DIGEST)
        assert caught.value.status == 403
    assert faults.connections == 0


async def test_offline_what_is_here_is_served(setup, mirror):
    await mirror.blob(ROUTE, LAYER_DIGEST)
    await settle(setup)
    mirror.set_offline(offline=True)
    assert (await mirror.blob(ROUTE, LAYER_DIGEST)).size == len(LAYER)


async def test_going_offline_breaks_off_what_is_on_its_way(setup, mirror, faults):
    hold = Hold()
    faults.on(BLOBS, Change(hold=hold, hold_after=100_000), times=1)
    blob = await mirror.blob(ROUTE, LAYER_DIGEST)
    async with blob.open(range(blob.size)) as stream:
        await read_some(stream)
        mirror.set_offline(offline=True)
        with pytest.raises(NixerydError, match="offline"):
            await read_on(stream, bytearray())
    hold.release()
    with trio.fail_after(HANG):
        await faults.wait_until_idle()
    mirror.set_offline(offline=False)
    assert await read(await mirror.blob(ROUTE, LAYER_DIGEST)) == LAYER


async def test_the_daemons_end_is_the_readers_end(
    tmp_path, faults, retry_policy, clock
):
    hold = Hold()
    faults.on(BLOBS, Change(hold=hold, hold_after=100_000))
    root = tmp_path / "other"
    reading = trio.Event()

    async def follow(blob) -> None:
        async with blob.open(range(blob.size)) as stream:
            await read_some(stream)
            reading.set()
            with pytest.raises(Stopping):
                await read_on(stream, bytearray())

    async with (
        trio.open_nursery() as readers,
        open_mirror(root, {HOST: faults.url}, retry_policy, clock) as setup,
    ):
        readers.start_soon(follow, await setup.mirror.blob(ROUTE, LAYER_DIGEST))
        await reading.wait()
    hold.release()
    assert setup.staged == []
    assert setup.files == set()


async def test_who_watches_sees_how_far_a_download_is_and_who_reads(
    setup, mirror, faults, tmp_path
):
    changes = Changes()
    live = Live(changes, BuildMonitor(changes), History(tmp_path), mirror.downloads)
    assert live.fetches() == []
    hold = Hold()
    faults.on(BLOBS, Change(hold=hold, hold_after=100_000))
    blob = await mirror.blob(ROUTE, LAYER_DIGEST)
    got = bytearray()
    async with blob.open(range(blob.size)) as reader:
        while len(got) < 100_000:
            got += await read_some(reader)
        (fetch,) = live.fetches()
        assert (fetch.digest, fetch.size) == (str(LAYER_DIGEST), len(LAYER))
        assert fetch.arrived >= 100_000
        assert fetch.readers == 1
        version = changes.version
        assert version > 0
        hold.release()
        await read_on(reader, got)
    await settle(setup)
    assert live.fetches() == []
    assert changes.version > version
