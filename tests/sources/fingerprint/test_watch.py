"""What is between a directory's coming to be and its being watched."""

import os
import shutil
import sys
from pathlib import Path

import pytest
import trio

from nixeryd.sources.fingerprint.contents import MovingError
from nixeryd.sources.fingerprint.inotify import CREATE, Inotify
from nixeryd.sources.fingerprint.tree import Tree
from nixeryd.sources.fingerprint.watch import Watch


def go_on():
    pass


class Interrupted:
    """Lets somebody work just before or after a directory's watch is set."""

    def __init__(self, inotify, moment, work):
        self.inotify, self.moment, self.work = inotify, moment, work

    def __getattr__(self, name):
        return getattr(self.inotify, name)

    def interrupt(self):
        self.moment -= 1
        if self.moment == 0:
            self.work()

    def add(self, directory, mask):
        self.interrupt()
        try:
            return self.inotify.add(directory, mask)
        finally:
            self.interrupt()


def truth(root):
    tree = Tree(os.fsencode(root))
    tree.walk(go_on)
    return tree.total


@pytest.fixture
def watch(repository):
    watch = Watch(Tree(os.fsencode(repository)))
    watch.build(go_on)
    yield watch
    watch.close()


def settle(watch):
    while watch.drain():
        assert watch.broken is None
        watch.reconcile(go_on)


def move_while_looked_at(pkgs):
    (pkgs / "hello").rename(pkgs / "aaa")
    (pkgs / "git").rename(pkgs / "hello")
    (pkgs / "aaa" / "new.nix").write_text("1")


def replace_while_looked_at(pkgs):
    (pkgs / "curl").rename(pkgs.parent / "curl")
    (pkgs / "curl" / "deep").mkdir(parents=True)
    (pkgs / "curl" / "deep" / "x.nix").write_text("1")


def vanish_while_looked_at(pkgs):
    for directory in ("hello", "git"):
        shutil.rmtree(pkgs / directory)


WORK = [move_while_looked_at, replace_while_looked_at, vanish_while_looked_at]


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("moment", range(1, 11))
def test_work_during_the_first_look_is_seen_after_it(repository, work, moment):
    watch = Watch(Tree(os.fsencode(repository)))
    interrupted = Interrupted(watch.inotify, moment, lambda: work(repository / "pkgs"))
    watch.inotify = interrupted
    watch.build(go_on)
    assert interrupted.moment <= 0
    settle(watch)
    assert watch.tree.total == truth(repository)
    for path in sorted((repository / "pkgs").iterdir()):  # and still watched
        (path / "later.nix").write_text("1")
        settle(watch)
        assert watch.tree.total == truth(repository)
    watch.close()


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("moment", range(1, 8))
def test_work_during_a_later_look_is_seen_after_it(watch, repository, work, moment):
    pkgs = repository / "pkgs"
    (pkgs / "hello").rename(repository / "hello")
    (pkgs / "hello" / "a" / "b").mkdir(parents=True)
    (pkgs / "hello" / "package.nix").write_text("1")
    (pkgs / "curl" / "package.nix").write_text("1")
    assert watch.drain()
    interrupted = Interrupted(watch.inotify, moment, lambda: work(pkgs))
    watch.inotify = interrupted
    watch.reconcile(go_on)
    assert interrupted.moment <= 0
    settle(watch)
    assert watch.tree.total == truth(repository)
    for path in sorted(p for p in repository.rglob("*") if p.is_dir()):
        if ".git" not in path.parts:
            (path / "later.nix").write_text("1")
            settle(watch)
            assert watch.tree.total == truth(repository)


def test_what_is_deleted_is_not_watched_any_more(watch, repository):
    before = len(watch)
    for number in range(20):
        (repository / f"new{number}").mkdir()
    settle(watch)
    assert len(watch) == before + 20
    for number in range(20):
        (repository / f"new{number}").rmdir()
    settle(watch)
    assert len(watch) == len(watch._path_of) == before


def test_a_directory_moved_away_is_not_watched_any_more(watch, repository, tmp_path):
    (repository / "pkgs" / "git").rename(tmp_path / "git")
    settle(watch)
    changes = watch.tree.changes
    (tmp_path / "git" / "package.nix").write_text("1")
    assert not watch.drain()
    assert watch.tree.changes == changes


def test_a_change_counts_before_it_is_read(watch, repository):
    changes = watch.tree.changes
    (repository / "default.nix").write_text("1")
    assert watch.drain()
    assert watch.tree.changes > changes


class Vanishing(Tree):
    """A tree with a directory whose files are gone whenever they are read."""

    where = b"pkgs/git"
    patience = 3

    def read(self, path, changed=frozenset()):
        if path == self.where and self.patience:
            self.patience -= 1
            raise MovingError
        return super().read(path, changed)


def test_a_directory_that_could_not_be_read_is_read_later(repository):
    """Whether or not there is an event to tell of it."""
    watch = Watch(Vanishing(os.fsencode(repository)))
    watch.build(go_on)
    settle(watch)
    assert watch.tree.total == truth(repository)
    for where in (b"pkgs/git", b""):
        watch.tree.where, watch.tree.patience = where, 3
        (repository / os.fsdecode(where) / "new.nix").write_text("1")
        settle(watch)
        assert watch.tree.patience == 0
        assert watch.tree.total == truth(repository)
    watch.close()


UNREADABLE = """
import os, sys
from nixeryd.sources.fingerprint.tree import Tree
from nixeryd.sources.fingerprint.watch import Watch

def go_on():
    pass

def look(expected):
    while watch.drain():
        watch.reconcile(go_on)
    seen.append(watch.tree.total)
    tree = Tree(os.fsencode(root))
    tree.walk(go_on)
    assert tree.total == seen[-1]
    assert len(watch) == expected, len(watch)

root, seen = sys.argv[1], []
watch = Watch(Tree(os.fsencode(root)))
watch.build(go_on)
look(5)
os.chmod(root + "/default.nix", 0)
look(5)
os.chmod(root + "/pkgs", 0)
look(2)
os.mkdir(root + "/new", 0)
look(2)
os.chmod(root + "/new", 0o700)
look(3)
open(root + "/new/x.nix", "w").close()
look(3)
os.chmod(root + "/pkgs", 0o755)
look(6)
open(root + "/pkgs/git/x.nix", "w").close()
look(6)
assert len(set(seen)) == len(seen), seen
print("SEEN")
"""


async def test_what_may_not_be_read_is_watched_as_soon_as_it_may(repository):
    """Root may read anything, so root's privileges are left behind."""
    words = [sys.executable, "-c", UNREADABLE, repository]
    if os.geteuid() == 0:
        words = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *words]
    done = await trio.run_process(
        words,
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    assert done.stdout == b"SEEN\n", done.stderr.decode()


def test_many_files_of_one_directory_need_no_list(watch, repository):
    for number in range(1000):
        (repository / f"new{number}.nix").write_text("1")
    watch.drain()
    assert watch._dirty[b""] is None
    settle(watch)
    assert watch.tree.total == truth(repository)


def test_events_come_in_order_and_to_the_last(tmp_path):
    queue = Inotify()
    wd = queue.add(os.fsencode(tmp_path), CREATE)
    names = [f"file{number:04}" for number in range(5000)]
    for name in names:
        (tmp_path / name).touch()
    assert [(e.wd, e.name.decode()) for e in queue.drain()] == [(wd, n) for n in names]
    assert list(queue.drain()) == []
    queue.close()
    queue.close()


def test_only_a_directory_itself_can_be_watched(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    queue = Inotify()
    for name in ("file", "link", "none"):
        with pytest.raises(OSError, match="directory"):
            queue.add(os.fsencode(tmp_path / name), CREATE)
    queue.close()
