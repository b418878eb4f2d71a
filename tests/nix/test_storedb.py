"""Nix's database: read as Nix reads it, or not at all."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from nixeryd.nix import closure as closures, storedb
from nixeryd.nix.closure import query_closure
from nixeryd.nix.evaluate import evaluate
from nixeryd.nix.realise import realise
from nixeryd.nix.storedb import read_closure


@pytest.fixture
async def outputs(nix, sets, system, tmp_path):
    """What was built, with references, one of them to itself."""
    evaluation = await evaluate(nix, sets, ["user", "simple"], system)
    await realise(nix, [one.installable for one in evaluation.packages], roots=tmp_path)
    return [path for one in evaluation.packages for path in one.outputs]


@pytest.fixture
def edited(nix, tmp_path):
    """A copy of the database; what `edit` did to it is for it alone."""

    def copy(edit: str = ""):
        place = tmp_path / "db"
        place.mkdir()
        shutil.copy(nix.database.with_name("schema"), place / "schema")
        source = sqlite3.connect(f"{nix.database.as_uri()}?mode=ro", uri=True)
        target = sqlite3.connect(place / "db.sqlite")
        with closing(source), closing(target):
            source.backup(target)
            target.executescript(edit)
        return place / "db.sqlite"

    return copy


async def test_it_says_what_nix_says(nix, outputs, monkeypatch):
    read = read_closure(nix.database, outputs)
    monkeypatch.setattr(closures, "read_closure", lambda *_: None)
    assert read == await query_closure(nix, outputs)
    assert len(read) > len(outputs)


async def test_nix_is_asked_where_it_cannot_be_believed(nix, outputs, monkeypatch):
    read = await query_closure(nix, outputs)
    monkeypatch.setattr(storedb, "_SCHEMA", "11")
    assert read_closure(nix.database, outputs) is None
    assert await query_closure(nix, outputs) == read


async def test_what_is_not_valid_is_for_nix_to_tell(nix, outputs):
    nowhere = f"/nix/store/{'0' * 32}-nothing"
    assert read_closure(nix.database, [*outputs, nowhere]) is None


ODD = {
    "references lead elsewhere": """
        ALTER TABLE Refs RENAME TO Old;
        CREATE TABLE Storables (id integer primary key);
        CREATE TABLE Refs (
            referrer integer not null references Storables (id),
            reference integer not null references Storables (id)
        );
        INSERT INTO Refs SELECT * FROM Old;
    """,
    "no such table": "DROP TABLE Refs; DROP TABLE ValidPaths;",
    "a size is missing": "UPDATE ValidPaths SET narSize = NULL;",
    "a hash is of another kind": "UPDATE ValidPaths SET hash = 'sha512:0';",
}


@pytest.mark.parametrize("edit", ODD.values(), ids=ODD)
async def test_an_odd_database_is_not_believed(edited, outputs, edit):
    assert read_closure(edited(edit), outputs) is None


async def test_a_copy_is_read_and_one_of_another_schema_is_not(edited, nix, outputs):
    copy = edited()
    assert read_closure(copy, outputs) == read_closure(nix.database, outputs)
    (copy.parent / "schema").write_text("11")
    assert read_closure(copy, outputs) is None


async def test_no_database_is_none(outputs, tmp_path):
    assert read_closure(tmp_path / "nowhere" / "db.sqlite", outputs) is None


async def test_what_is_no_database_is_none(outputs, tmp_path):
    (tmp_path / "schema").write_text("10")
    (tmp_path / "db.sqlite").write_bytes(b"no database, and long enough to be one" * 9)
    assert read_closure(tmp_path / "db.sqlite", outputs) is None
