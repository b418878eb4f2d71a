"""What was read beside a checkout: each change of it is seen, and nothing else."""

import os
import shutil
import subprocess
import time

import pytest

from nixeryd.nix.reads import Reads
from nixeryd.sources.fingerprint import outside
from nixeryd.sources.fingerprint.outside import (
    JustChangedError,
    OutOfSightError,
    Outside,
    note,
)

HOUR = 3_600_000_000_000  # nanoseconds


@pytest.fixture
def place(tmp_path):
    """Files to be read; `link` leads to `one`, and `two` is another like it."""
    for name in ("one", "two"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "default.nix").write_text("1")
        (tmp_path / name / "deep" / "word").write_text("word")
    (tmp_path / "link").symlink_to("one")
    return tmp_path


def look(place, kind, path, began=None):
    """Note a read as if nothing had been touched since; or since `began`."""
    reads = Reads(paths={(kind, f"{place}/{path}")}, source=f"{place}/source")
    return note(reads, time.time_ns() + HOUR if began is None else began, {})


def turn(place):
    (place / "link").unlink()
    (place / "link").symlink_to("two")


def replace(place, what):
    (place / "new").write_text("2")
    (place / "new").rename(place / what)


# A read, what is done, and whether it may be another now.
CHANGES = [
    ("file", "one/default.nix", lambda p: (p / "one/default.nix").write_text("2"), 1),
    ("file", "one/default.nix", lambda p: replace(p, "one/default.nix"), 1),
    ("file", "one/default.nix", lambda p: (p / "one/default.nix").unlink(), 1),
    ("file", "one/default.nix", lambda p: (p / "one").rename(p / "gone"), 1),
    ("file", "one/default.nix", lambda p: (p / "one/deep/word").write_text("2"), 0),
    ("file", "one", lambda p: (p / "one/default.nix").write_text("2"), 1),
    ("file", "link/default.nix", turn, 1),
    ("file", "link", turn, 1),
    ("file", "none", lambda p: (p / "none").write_text("2"), 1),
    ("file", "one/../none", lambda p: (p / "none").write_text("2"), 1),
    ("directory", "one", lambda p: (p / "one/more").touch(), 1),
    ("directory", "one", lambda p: (p / "one/deep").rename(p / "one/deeper"), 1),
    ("directory", "one", lambda p: (p / "one/deep/more").touch(), 0),
    ("directory", "one", lambda p: (p / "one/default.nix").write_text("2"), 0),
    ("directory", "link", turn, 1),
    ("status", "one/default.nix", lambda p: (p / "one/default.nix").write_text("2"), 0),
    ("status", "one/default.nix", lambda p: (p / "one/default.nix").unlink(), 1),
    ("status", "none", lambda p: (p / "none").touch(), 1),
    ("status", "none/deeper", lambda p: (p / "none").mkdir(), 0),
    ("status", "link/none", lambda p: ((p / "two/none").touch(), turn(p)), 1),
    ("status", "link", turn, 1),
    ("status", "link/default.nix", turn, 1),
    ("status", "one", lambda p: (shutil.rmtree(p / "one"), (p / "one").touch()), 1),
    ("tree", "one", lambda p: (p / "one/deep/word").write_text("2"), 1),
    ("tree", "one", lambda p: (p / "one/deep/word").chmod(0o755), 1),
    ("tree", "one", lambda p: (p / "one/deep/more").touch(), 1),
    ("tree", "one", lambda p: (p / "one/deep/word").unlink(), 1),
    ("tree", "one", lambda p: (p / "two/deep/word").write_text("2"), 0),
    ("tree", "one/default.nix", lambda p: (p / "one/default.nix").write_text("2"), 1),
]


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_a_change_is_seen_and_what_is_none_is_not(place, number):
    kind, path, change, is_seen = CHANGES[number]
    noted = look(place, kind, path)
    assert noted.holds({})
    change(place)
    assert noted.holds({}) is not bool(is_seen)


@pytest.mark.parametrize("number", [n for n, c in enumerate(CHANGES) if c[3]])
def test_what_changes_while_it_is_evaluated_is_not_noted(place, number):
    """Then it is not known whether it was read before that, or after."""
    kind, path, change, _ = CHANGES[number]
    age(place)
    began = time.time_ns()
    look(place, kind, path, began)
    change(place)
    with pytest.raises(JustChangedError):
        look(place, kind, path, began)


def age(place):
    """Wait until all that a test made, and its directories, had a moment of rest."""
    made = (place, *place.parents, *place.rglob("*"))
    last = max(os.lstat(at).st_ctime_ns for at in made)
    while time.time_ns() <= last + outside.QUICK:
        pass


def test_the_same_after_a_restart(place):
    noted = look(place, "tree", "one")
    again = Outside.decode(noted.encode())
    assert again == noted
    assert again.holds({})


def test_variables(place):
    del place
    reads = Reads(variables={"ONE", "NONE"})
    noted = note(reads, time.time_ns(), {"ONE": "1", "OTHER": "1"})
    assert noted.holds({"ONE": "1", "OTHER": "2"})
    assert not noted.holds({"ONE": "2"})
    assert not noted.holds({"ONE": "1", "NONE": ""})
    assert not noted.holds({})


def test_what_is_unknown_is_not_noted():
    reads = Reads()
    reads.add("unknown", "currentTime")
    with pytest.raises(OutOfSightError, match="currentTime"):
        note(reads, time.time_ns(), {})


def test_what_is_too_much_to_look_at_is_not_noted(place, monkeypatch):
    monkeypatch.setattr(outside, "MOST", 2)
    look(place, "tree", "one/deep")
    with pytest.raises(OutOfSightError, match="more than 2 files"):
        look(place, "tree", "one")


def test_a_link_that_leads_to_itself(place):
    (place / "loop").symlink_to("loop")
    noted = look(place, "file", "loop/x")
    assert noted.holds({})
    (place / "loop").unlink()
    assert not noted.holds({})


@pytest.fixture
def repository(place):
    def git(*words):
        names = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        command = ["git", "-C", place / "one", *names, *words]
        subprocess.run(command, check=True, capture_output=True)

    git("init", "-qb", "main")
    git("add", ".")
    git("commit", "-qm", "x")
    return git


EDITS = {
    "a file": lambda place, _: (place / "one/deep/word").write_text("2"),
    "a commit": lambda _, git: git("commit", "-q", "--allow-empty", "-m", "more"),
    "the index": lambda _, git: git("rm", "-q", "--cached", "default.nix"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_repository_that_is_fetched(place, repository, edit):
    noted = look(place, "work tree", "one")
    assert noted.holds({})
    EDITS[edit](place, repository)
    assert not noted.holds({})
