"""The index: put aside only when it is broken, never for what may pass."""

import os
import sqlite3
import subprocess
from contextlib import closing

import pytest

from nixeryd.images.digests import Digest
from nixeryd.images.manifests import LayerDescriptor
from nixeryd.store.blobs import Blobs, StoreFullError, StoreUnusableError
from nixeryd.store.connection import IndexUnusableError, connect
from nixeryd.store.index import StoredManifest, open_index
from nixeryd.store.reserve import RESERVE, SIZE, Reserve
from nixeryd.store.snapshot import read_holdings

DIGEST = Digest.of(b"layer")
LAYER = LayerDescriptor(digest=DIGEST, diff_id=DIGEST, size=5, media_type="type")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "index.sqlite"
    with open_index(path) as index:
        index.add_layer("key", LAYER, ["/nix/store/a"])
    return path


def test_what_was_looked_up_is_forgotten_at_any_write(path):
    one, other = (StoredManifest(Digest.of(b), "type", (), 1) for b in (b"1", b"2"))
    with open_index(path) as index:

        def now():
            return index.build("key"), index.tagged("image", "tag")

        assert now() == now() == (None, None)
        index.add_build("key", one)
        index.set_tag("image", "tag", "image", one.digest, 0)
        assert now() == now() == (one, one.digest)
        index.add_build("key", other)
        assert now() == (other, one.digest)
        index.set_tag("image", "tag", "image", other.digest, 0)
        assert now() == (other, other.digest)
        index.names.remove(*index.names.of(other.digest))
        assert now() == (other, None)
        index.names.forget([str(other.digest)], [])
        assert now() == (None, None)


def test_what_was_looked_up_answers_the_same_question_only(path):
    one, other = (StoredManifest(Digest.of(b), "type", (), 1) for b in (b"1", b"2"))
    with open_index(path) as index:
        for key, made in (("one", one), ("other", other)):
            index.add_build(key, made)
            index.set_tag(key, "tag", key, made.digest, 0)
            index.set_tag("both", key, "both", made.digest, 0)
        for _ in range(2):  # the second time of what was looked up
            for key, made in (("one", one), ("other", other)):
                assert index.build(key) == made
                assert index.tagged(key, "tag") == made.digest
                assert index.tagged("both", key) == made.digest
            assert index.build("tag") is None
        assert index.tags("both") == ["one", "other"]
        assert index.tags("one") == ["tag"]
        assert index.manifests() == {str(one.digest), str(other.digest)}


def test_it_says_what_is_in_a_layer(path):
    with open_index(path) as index:
        assert index.layer_paths(DIGEST) == ("/nix/store/a",)
        assert index.layer_paths(Digest.of(b"of somebody else")) == ()


@pytest.mark.parametrize("junk", [b"not a database, and long enough to say so" * 9])
def test_what_is_no_database_is_put_aside(path, junk):
    path.write_bytes(junk)
    with open_index(path) as index:
        assert index.layer("key") is None
    assert path.with_name("index.sqlite.broken").read_bytes() == junk


def test_an_index_that_is_locked_is_left_alone(path, monkeypatch):
    monkeypatch.setattr("nixeryd.store.connection.PATIENCE", 0)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(IndexUnusableError, match="locked"), open_index(path):
            pass
    finally:
        holder.close()
    assert not path.with_name("index.sqlite.broken").exists()
    with open_index(path) as index:
        assert index.layer("key") == LAYER


def test_a_place_that_cannot_be_opened_is_told(tmp_path):
    nowhere = tmp_path / "no" / "index.sqlite"
    with pytest.raises(IndexUnusableError, match="--data-dir"), open_index(nowhere):
        pass
    with pytest.raises(IndexUnusableError):
        read_holdings(nowhere)


def test_misuse_is_a_defect_and_stays_one(path):
    with (
        closing(connect(path)) as connection,
        pytest.raises(sqlite3.OperationalError, match="no such table"),
    ):
        connection.execute("SELECT * FROM no_such")


def test_what_cannot_be_written_is_told_and_the_rest_stays(path):
    with open_index(path) as index:
        index.names._db.execute("PRAGMA query_only = ON")
        with pytest.raises(IndexUnusableError, match="readonly"):
            index.add_layer("other", LAYER, [])
        with pytest.raises(IndexUnusableError, match="readonly"):
            index.names.forget([str(DIGEST)], [])
        assert index.layer("key") == LAYER


def test_a_reserve_is_there_again_when_it_was_given_up(tmp_path):
    reserve = Reserve(tmp_path / RESERVE)
    assert (tmp_path / RESERVE).stat().st_size == SIZE
    with reserve.given_up():
        assert not (tmp_path / RESERVE).exists()
    assert (tmp_path / RESERVE).stat().st_size == SIZE
    Reserve(tmp_path / "nowhere" / RESERVE)  # is none, and no error


def test_a_reserve_that_cannot_be_is_no_error(tmp_path):
    for above in ("nowhere", "file"):
        (tmp_path / "file").touch()
        with Reserve(tmp_path / above / RESERVE).given_up():
            pass
    (tmp_path / RESERVE).mkdir()
    with Reserve(tmp_path / RESERVE).given_up():
        assert (tmp_path / RESERVE).is_dir()


@pytest.fixture
def disk(tmp_path):
    """A disk of one MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", place], check=True
    )
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk_takes_no_rows_and_loses_none(disk):
    path = disk / "index.sqlite"
    with open_index(path) as index:
        with pytest.raises(StoreFullError, match="make room"):  # noqa: PT012  open which
            for number in range(100_000):
                index.add_layer(f"{number}", LAYER, ["/nix/store/a" * 1000])
        assert number > 10
        assert index.layer("3") == LAYER
        assert index.layer(f"{number}") is None
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_full_disk_has_no_room_for_a_reserve(disk):
    (disk / "filler").write_bytes(bytes(500_000))
    Reserve(disk / RESERVE)
    assert not (disk / RESERVE).exists()


def test_a_read_only_disk_is_a_clear_error(disk):
    for place in ("blobs", "blobs/sha256", "staging"):
        (disk / place).mkdir()
    blobs = Blobs(disk / "blobs", disk / "staging")
    digest = blobs.put(b"kept")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    for data in (b"kept", b"new"):
        with pytest.raises(StoreUnusableError, match="cannot be written"):
            blobs.put(data)
    assert blobs.read(digest) == b"kept"
