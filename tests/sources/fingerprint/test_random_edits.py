"""The promise itself: whatever is done to a checkout, the fingerprint tells.

An oracle that knows nothing of the code reads the whole tree after every
operation. Its states and the fingerprints must pair off one to one: another
state is another fingerprint (never stale), and a state that comes back has the
fingerprint it had (an undone edit costs nothing).
"""

import hashlib
import os
import random
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

ROUNDS = 60


def oracle(root, git):
    """Digest everything below root but .git, and HEAD."""
    seen = [git("rev-parse", "HEAD")]
    for directory, directories, files in os.walk(root):
        if ".git" in directories:
            directories.remove(".git")
        directories.sort()
        seen.append(directory)
        for path in (Path(directory, name) for name in sorted(files + directories)):
            if path.is_symlink():
                seen.append((path, path.readlink()))
            elif path.is_file():
                executable = bool(path.stat().st_mode & 0o100)
                seen.append((path, executable, path.read_bytes()))
    return hashlib.sha256(repr(seen).encode()).hexdigest()


class Hands:
    """Somebody at work in a checkout."""

    def __init__(self, root, git, seed):
        self.root, self.git = root, git
        self.rng = random.Random(seed)
        self.away = root.parent / "away"

    def files(self):
        found = [
            path
            for path in self.root.rglob("*")
            if ".git" not in path.relative_to(self.root).parts
            and path.is_file()
            and not path.is_symlink()
        ]
        return sorted(found) or [self.untracked()]

    def directories(self):
        found = sorted(p for p in (self.root / "pkgs").iterdir() if p.is_dir())
        return found or [self.nested()]

    def any_file(self):
        return self.rng.choice(self.files())

    def text(self):
        return f"{{ }}: {self.rng.randrange(4)}"

    def edit(self):
        self.any_file().write_text(self.text())

    def edit_by_rename(self):
        path = self.any_file()
        new = path.with_name("#saving")
        new.write_text(self.text())
        new.replace(path)

    def edit_and_put_the_time_back(self):
        path = self.any_file()
        times = path.stat()
        path.write_text(self.text())
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def edit_twice_at_once(self):
        path = self.any_file()
        path.write_text("{ }: 8")
        path.write_text(self.text())

    def append(self):
        with self.any_file().open("a") as opened:
            opened.write("#")

    def truncate(self):
        os.truncate(self.any_file(), 3)

    def edit_through_a_link(self):
        link = self.root / "link.nix"
        if link.is_symlink() and link.parent.joinpath(link.readlink()).parent.is_dir():
            link.write_text(self.text())

    def turn_a_link(self):
        link = self.root / "link.nix"
        link.unlink(missing_ok=True)
        link.symlink_to(self.any_file().relative_to(self.root))

    def untracked(self):
        path = self.root / f"new{self.rng.randrange(3)}.nix"
        path.write_text(self.text())
        return path

    def edit_what_git_ignores(self):
        (self.root / "ignored.nix").write_text(self.text())

    def edit_what_git_was_told_to_ignore(self):
        self.git("update-index", "--assume-unchanged", "default.nix")
        (self.root / "default.nix").write_text(self.text())
        self.git("update-index", "--no-assume-unchanged", "default.nix")

    def delete(self):
        self.any_file().unlink()

    def rename(self):
        path = self.any_file()
        path.rename(path.with_name(f"renamed{self.rng.randrange(3)}.nix"))

    def touch(self):
        self.any_file().touch()

    def change_mode(self):
        self.any_file().chmod(self.rng.choice([0o644, 0o755, 0o600]))

    def nested(self):
        top = self.root / "pkgs" / f"deep{self.rng.randrange(2)}"
        (top / "a" / "b").mkdir(parents=True, exist_ok=True)
        (top / "a" / "b" / "default.nix").write_text(self.text())
        return top

    def edit_in_a_new_directory(self):
        self.nested()
        deep = self.nested() / "a" / "b"
        (deep / "default.nix").write_text(self.text())

    def empty_directory(self):
        (self.root / "pkgs" / f"empty{self.rng.randrange(2)}").mkdir(exist_ok=True)

    def delete_a_directory(self):
        shutil.rmtree(self.rng.choice(self.directories()))

    def replace_a_directory(self):
        path = self.rng.choice(self.directories())
        shutil.rmtree(path)
        path.mkdir()
        (path / "package.nix").write_text(self.text())

    def rename_a_directory_and_edit_in_it(self):
        path = self.rng.choice(self.directories())
        new = path.with_name(f"moved{self.rng.randrange(2)}")
        if not new.exists():
            path.rename(new)
            (new / "package.nix").write_text(self.text())

    def swap_directories(self):
        one, two = self.rng.choice(self.directories()), self.nested()
        if one != two:
            between = one.with_name("between")
            one.rename(between)
            two.rename(one)
            between.rename(two)
            (one / "package.nix").write_text(self.text())

    def move_out_edit_and_back(self):
        path = self.rng.choice(self.directories())
        path.rename(self.away)
        (self.away / "package.nix").write_text(self.text())
        self.away.rename(path)

    def a_file_becomes_a_directory(self):
        path = self.any_file()
        path.unlink()
        path.mkdir()
        (path / "default.nix").write_text(self.text())

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "x")

    def switch(self):
        self.git("switch", "-qf", self.rng.choice(["main", "other"]))

    def stash(self):
        self.git("stash", "-qu")

    def stash_and_back(self):
        (self.root / "default.nix").write_text(self.text())
        if self.git("stash", "list"):
            self.git("stash", "drop", "-q")
        if "Saved" in self.git("stash"):
            self.git("stash", "pop", "-q")

    def revert(self):
        self.git("reset", "-q", "--hard")
        self.git("clean", "-qfdx")

    def do_something(self):
        operations = [
            name
            for name, value in vars(Hands).items()
            if callable(value)
            and not name.startswith("_")
            and name not in {"do_something", "files", "directories", "any_file", "text"}
        ]
        operation = self.rng.choice(operations)
        with suppress(OSError, subprocess.CalledProcessError):
            getattr(self, operation)()  # half of it, where a file is in the way
        return operation


@pytest.mark.parametrize("seed", range(3))
async def test_states_and_fingerprints_pair_off_one_to_one(
    repository, git, opened, way, seed
):
    git = git(repository)
    hands = Hands(repository, git, seed)
    by_state, by_fingerprint, done = {}, {}, []
    async with opened(repository, **way) as checkout:
        for _ in range(ROUNDS):
            done.append(hands.do_something())
            fingerprint = await checkout.fingerprint()
            state = oracle(repository, git)
            assert fingerprint is not None
            assert by_fingerprint.setdefault(fingerprint, state) == state, done
            assert by_state.setdefault(state, fingerprint) == fingerprint, done
    assert len(by_state) > ROUNDS / 3


@pytest.mark.parametrize("seed", range(2))
async def test_many_edits_between_two_questions(repository, git, opened, way, seed):
    """Events that contradict each other are queued together."""
    git = git(repository)
    hands = Hands(repository, git, 1000 + seed)
    by_state, by_fingerprint = {}, {}
    async with opened(repository, **way) as checkout:
        for _ in range(20):
            done = [hands.do_something() for _ in range(hands.rng.randrange(2, 9))]
            fingerprint = await checkout.fingerprint()
            state = oracle(repository, git)
            assert by_fingerprint.setdefault(fingerprint, state) == state, done
            assert by_state.setdefault(state, fingerprint) == fingerprint, done


async def test_the_next_daemon_finds_the_same_fingerprint(
    repository, git, opened, tmp_path
):
    """However it looks, with a memory or without, after whatever was done."""
    git = git(repository)
    hands = Hands(repository, git, 7)
    memory = tmp_path / "digests"
    for _ in range(3):
        found = set()
        for limit in (None, 0):
            for options in ({}, {"memory": memory}):
                async with opened(repository, watch_limit=limit, **options) as checkout:
                    found.add(await checkout.fingerprint())
        assert len(found) == 1
        for _ in range(9):
            hands.do_something()
