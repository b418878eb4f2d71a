"""An index of an older version keeps its rows, whatever happens in between."""

import sqlite3
from contextlib import closing

import pytest

from nixeryd.images.digests import Digest
from nixeryd.store import migrations
from nixeryd.store.blobs import Blobs
from nixeryd.store.connection import connect
from nixeryd.store.datadir import open_data_dir
from nixeryd.store.index import open_index
from nixeryd.store.migrations import FIRST, NewerIndexError, migrate, version_of
from nixeryd.store.mirrored import UpstreamRepository
from nixeryd.store.names import Kind
from nixeryd.store.snapshot import read_holdings
from tests.store.released import make_data_dir, make_index

ADD = "ALTER TABLE tags ADD COLUMN note TEXT NOT NULL DEFAULT 'none'"
FILL = "UPDATE tags SET note = repository"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "index.sqlite"
    make_index(path)
    return path


def test_an_index_of_7ec3a5e_keeps_all_it_knows(tmp_path):
    make_data_dir(tmp_path / "data")
    with open_data_dir(tmp_path / "data") as places, open_index(places.index) as index:
        blobs = Blobs(places.blobs, places.staging)
        assert not index.is_new
        assert not places.index.with_name("index.sqlite.broken").exists()
        names = {str(name): name for name in index.names.all()}
        assert {text: name.pinned for text, name in names.items()} == {
            "docker.io/library/nginx:1": True,
            "git:latest": True,
            "hello:latest": False,
        }
        for text in ("git:latest", "hello:latest"):
            found = index.manifest(names[text].manifest)
            assert found is not None
            assert len(found.blobs) == 3
            assert all(map(blobs.size, (found.digest, *found.blobs)))
            assert found.size == sum(filter(None, map(blobs.size, found.blobs)))
            image = text.removesuffix(":latest")
            assert index.build(f"state of {image}") == found
            assert index.tagged(f"{image}?x86_64-linux", "latest") == found.digest
            inside = index.insides.find(found.digest)
            assert inside is not None
            assert list(inside.packages) == [image]
        layer = index.layer("key of glibc layer")
        assert layer is not None
        assert blobs.size(layer.digest) == layer.size == 11
        assert len(index.insides.history(Kind.NIX, "git:latest")) == 2

        nginx = UpstreamRepository("docker.io", "library/nginx")
        entry = index.mirrored.tag(nginx, "1")
        assert entry is not None
        assert (entry.checked, entry.gone) == (4000.0, False)
        assert index.mirrored.places(entry.digest) == [nginx]
        assert index.lists.find(nginx) == '["1", "gone"]'
        top = index.manifest(entry.digest)
        assert top is not None
        assert index.mirrored.media_type(nginx, entry.digest) == top.media_type
        assert [blobs.size(digest) for digest in top.blobs] == [395, None]
        assert index.manifest(top.blobs[1]) is None
        gone = index.mirrored.tag(nginx, "gone")
        assert gone is not None
        assert gone.gone
        assert len(read_holdings(places.index).held) == 5


def test_a_migrated_index_is_made_as_a_new_one_is(path, tmp_path):
    with open_index(path), open_index(tmp_path / "new.sqlite"):
        assert _shape(path) == _shape(tmp_path / "new.sqlite")


def _shape(path):
    """Tell what tables, columns, indexes and triggers there are."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT type, name, sql FROM sqlite_master"
        ).fetchall()
        shape = {
            (kind, name): sql
            for kind, name, sql in rows
            if kind in {"index", "trigger"}
        }
        for table in (name for kind, name, _ in rows if kind == "table"):
            columns = connection.execute(f"PRAGMA table_xinfo({table})").fetchall()
            shape |= {("column", table, column[1]): column[2:] for column in columns}
        return shape, version_of(connection)


def test_steps_are_taken_in_order_and_once(path):
    with closing(connect(path)) as connection:
        migrate(connection, path, (ADD, FILL))
        assert version_of(connection) == FIRST + 2
        notes = "SELECT repository = note FROM tags"
        assert connection.execute(notes).fetchall() == [(1,), (1,)]
        migrate(connection, path, (ADD, FILL))  # would fail if taken again
        assert version_of(connection) == FIRST + 2


@pytest.mark.parametrize("wrong", ["UPDATE tags SET no_such = 1", "SELECT 1; garbage"])
def test_a_step_that_fails_changes_nothing_and_the_next_start_goes_on(path, wrong):
    with closing(connect(path)) as connection:
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, path, (ADD, f"DELETE FROM pins; {wrong}"))
        assert version_of(connection) == FIRST + 1
        assert not connection.in_transaction
        assert connection.execute("SELECT count(*) FROM pins").fetchone() == (2,)
        migrate(connection, path, (ADD, FILL))
        assert version_of(connection) == FIRST + 2


def test_an_index_of_a_newer_version_is_left_alone(path):
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA user_version = 77")
    before = path.read_bytes()
    with pytest.raises(NewerIndexError, match=r"version 77.*--data-dir"):  # noqa: SIM117
        with open_index(path):
            pass
    assert path.read_bytes() == before
    assert not path.with_name("index.sqlite.broken").exists()


def test_an_index_from_before_migrations_is_put_aside(path):
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA user_version = 1")
    with open_index(path) as index:
        assert index.is_new
        assert index.names.all() == []
    assert path.with_name("index.sqlite.broken").exists()


def test_an_index_that_was_never_made_whole_is_made_anew(path):
    path.unlink()
    with closing(connect(path)) as connection:  # as 7ec3a5e may leave it when killed
        connection.execute("CREATE TABLE digests (number INTEGER)")
    with open_index(path) as index:
        assert index.is_new
        assert index.names.needing([str(Digest.of(b""))]) == []


def test_a_new_index_has_the_newest_version(tmp_path):
    path = tmp_path / "index.sqlite"
    with open_index(path), closing(connect(path)) as connection:
        assert version_of(connection) == migrations.newest()
