"""Uses: noted at once, written later, and never lost by a stop in good order."""

import sqlite3

import pytest
import trio
import trio.testing

from nixeryd.images.digests import Digest
from nixeryd.store.index import StoredManifest, open_index
from nixeryd.store.leases import Leases
from nixeryd.store.uses import INTERVAL, Uses

MANIFEST = StoredManifest(Digest.of(b"m"), "type", (), 0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "index.sqlite"


@pytest.fixture
def index(path):
    with open_index(path) as index:
        index.add_build("key", MANIFEST)
        yield index


def used(path):
    connection = sqlite3.connect(path)
    try:
        return dict(connection.execute("SELECT manifest, used FROM uses"))
    finally:
        connection.close()


def test_who_writes_a_manifest_uses_it(index, path):
    assert used(path)[str(MANIFEST.digest)] > 1_700_000_000


async def test_a_use_is_written_after_a_while_and_once(index, path, autojump_clock):
    uses = Uses(index, Leases(), now=lambda: 10 + trio.current_time())
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(uses.run)
        uses.manifest(MANIFEST.digest)
        await trio.sleep(INTERVAL / 2)
        uses.manifest(MANIFEST.digest)
        assert used(path)[str(MANIFEST.digest)] > 1_700_000_000
        await trio.sleep(INTERVAL)
        assert used(path) == {str(MANIFEST.digest): 10 + start + INTERVAL / 2}
        nursery.cancel_scope.cancel()


async def test_what_was_written_is_made_safe_after_a_while(
    index, path, autojump_clock, monkeypatch
):
    uses = Uses(index, Leases())
    safe, synced = [], trio.Event()

    def sync():
        safe.append(used(path))
        # The clock jumps while a thread works: only the thread says when it is done.
        trio.from_thread.run_sync(synced.set)

    monkeypatch.setattr(index, "sync", sync)
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(uses.run)
        uses.manifest(MANIFEST.digest)
        await synced.wait()
        assert safe == [used(path)]
        assert trio.current_time() - start >= INTERVAL
        nursery.cancel_scope.cancel()


async def test_a_stop_writes_what_is_noted(index, path):
    uses = Uses(index, Leases(), now=lambda: 5.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(uses.run)
        await trio.testing.wait_all_tasks_blocked()
        uses.manifest(MANIFEST.digest)
        nursery.cancel_scope.cancel()
    assert used(path) == {str(MANIFEST.digest): 5.0}


async def test_what_was_evicted_meanwhile_is_no_row(index, path):
    uses = Uses(index, Leases())
    uses.manifest(Digest.of(b"gone"))
    uses.flush()
    assert list(used(path)) == [str(MANIFEST.digest)]


def test_what_cannot_be_written_is_lost_and_no_more(index, path):
    uses = Uses(index, Leases(), now=lambda: 5.0)
    uses.manifest(MANIFEST.digest)
    index.names._db.execute("PRAGMA query_only = ON")
    uses.flush()
    index.names._db.execute("PRAGMA query_only = OFF")
    assert used(path)[str(MANIFEST.digest)] != 5.0
    uses.manifest(MANIFEST.digest)
    uses.flush()
    assert used(path)[str(MANIFEST.digest)] == 5.0


def test_what_is_used_is_leased(index):
    leases = Leases()
    uses = Uses(index, leases)
    uses.manifest(Digest.of(b"m"))
    uses.blob(Digest.of(b"b"))
    assert leases.current() == {Digest.of(b"m"), Digest.of(b"b")}
