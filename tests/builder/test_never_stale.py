"""Random edits, each followed by a pull: every image is what Nix gives right then.

`NIXERYD_ROUNDS=200` does more of them; `NIXERYD_SEED` repeats a run.
"""

import json
import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import trio

from nixeryd.builder import progress as events
from nixeryd.sources.fingerprint import outside
from tests.builder.conftest import open_builder

ROUNDS = int(os.environ.get("NIXERYD_ROUNDS", "25"))
SEED = int(os.environ.get("NIXERYD_SEED", str(random.randrange(10**6))))

# Reads a tracked file, a directory, a file that may be untracked, an ignored one and
# one behind a link that leaves the checkout; and of what is beside it, files, names of
# files, a link that moves, one that NIX_PATH has, what is copied, and a variable.
SET = """\
{ system }:
let
  read = file: if builtins.pathExists file then builtins.readFile file else "none";
  text = builtins.concatStringsSep "+" (map read [
    ./word.txt ./dir/nested/word.txt ./untracked.txt ./ignored.txt ./outside/word.txt
    ../outside/maybe.txt
  ] ++ [
    (import ../outside/word.nix) (import ../link) (import <never-stale>)
    (toString (builtins.attrNames (builtins.readDir ../outside)))
    "${../outside/word.txt}"
    (builtins.path { path = ../outside; name = "outside"; })
    (builtins.getEnv "NIXERYD_NEVER_STALE")
  ]);
in {
  word = derivation {
    name = "word"; inherit system text; builder = "/bin/sh";
    args = [ "-euc" "while test -e $gate; do :; done; echo made > $out" ];
    gate = "/nowhere";
  };
}
"""


class Checkout:
    """A git repository, and what developers do to it."""

    def __init__(self, place: Path, rng: random.Random) -> None:
        self.place = place
        self.outside = place.with_name("outside")
        self.rng = rng
        self.number = 0
        place.mkdir()
        self.outside.mkdir()
        (self.outside / "word.txt").write_text("outside")
        (self.outside / "word.nix").write_text('"nix"')
        for name in ("one", "two"):
            (place.parent / name).mkdir()
            (place.parent / name / "default.nix").write_text(f'"{name}"')
        self.link = place.with_name("link")
        self.link.symlink_to("one")
        (place / "default.nix").write_text(SET)
        (place / ".gitignore").write_text("ignored.txt\n")
        (place / "word.txt").write_text("start")
        (place / "dir" / "nested").mkdir(parents=True)
        (place / "dir" / "nested" / "word.txt").write_text("nested")
        (place / "outside").symlink_to(self.outside)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=start")
        self.git("switch", "--quiet", "--create=other")
        self.edit()
        self.git("commit", "--quiet", "--all", "--message=other")

    def git(self, *words: str) -> None:
        subprocess.run(
            ["git", "-C", self.place, *words],
            check=True,
            capture_output=True,
            env={
                "PATH": os.environ["PATH"],
                "GIT_CONFIG_GLOBAL": "/dev/null",
                "GIT_CONFIG_SYSTEM": "/dev/null",
                **{
                    f"GIT_{who}_{what}": "tester@localhost"
                    for who in ("AUTHOR", "COMMITTER")
                    for what in ("NAME", "EMAIL")
                },
            },
        )

    def word(self) -> str:
        self.number += 1
        return self.rng.choice(["same", f"word {self.number}"])

    def edit(self) -> None:
        (self.place / "word.txt").write_text(self.word())

    def edit_twice_at_once(self) -> None:
        """The same size, within one tick of most clocks."""
        self.number += 2
        (self.place / "word.txt").write_text(f"a{self.number:05}")
        (self.place / "word.txt").write_text(f"b{self.number:05}")

    def save_as_editors_do(self) -> None:
        swap = self.place / "word.txt~"
        swap.write_text(self.word())
        swap.replace(self.place / "word.txt")

    def add_untracked(self) -> None:
        (self.place / "untracked.txt").write_text(self.word())

    def remove_untracked(self) -> None:
        (self.place / "untracked.txt").unlink(missing_ok=True)

    def edit_ignored(self) -> None:
        (self.place / "ignored.txt").write_text(self.word())

    def edit_outside(self) -> None:
        (self.outside / "word.txt").write_text(self.word())

    def edit_what_is_imported(self) -> None:
        (self.outside / "word.nix").write_text(f'"{self.word()}"')

    def edit_behind_the_link(self) -> None:
        (self.link / "default.nix").write_text(f'"{self.word()}"')

    def move_the_link(self) -> None:
        new = self.link.with_name("new-link")
        new.symlink_to(self.rng.choice(["one", "two"]))
        new.replace(self.link)

    def move_what_the_link_is_to(self) -> None:
        between = self.place.parent / "between"
        (self.place.parent / "one").rename(between)
        (self.place.parent / "two").rename(self.place.parent / "one")
        between.rename(self.place.parent / "two")

    def add_outside(self) -> None:
        (self.outside / "maybe.txt").write_text(self.word())

    def remove_outside(self) -> None:
        (self.outside / "maybe.txt").unlink(missing_ok=True)

    def set_a_variable(self) -> None:
        os.environ["NIXERYD_NEVER_STALE"] = self.word()

    def touch(self) -> None:
        (self.place / "word.txt").touch()

    def switch(self) -> None:
        self.git("stash", "--quiet")
        self.git("switch", "--quiet", self.rng.choice(["main", "other"]))

    def stash(self) -> None:
        self.edit()
        self.git("stash", "--quiet")

    def revert(self) -> None:
        self.git("checkout", "--quiet", "--", ".")

    def commit(self) -> None:
        self.git("commit", "--quiet", "--all", "--allow-empty", "--message=more")

    def replace_directory(self) -> None:
        new = self.place / "new"
        (new / "nested").mkdir(parents=True)
        (new / "nested" / "word.txt").write_text(self.word())
        shutil.rmtree(self.place / "dir")
        new.rename(self.place / "dir")

    def grow_and_edit(self) -> None:
        """A directory made and filled faster than anything can watch it."""
        shutil.rmtree(self.place / "dir", ignore_errors=True)
        (self.place / "dir" / "nested").mkdir(parents=True)
        (self.place / "dir" / "nested" / "word.txt").write_text(self.word())

    def nothing(self) -> None:
        pass

    def do_something(self) -> str:
        does = self.rng.choice(
            [
                self.edit,
                self.edit_twice_at_once,
                self.save_as_editors_do,
                self.add_untracked,
                self.remove_untracked,
                self.edit_ignored,
                self.edit_outside,
                self.edit_what_is_imported,
                self.edit_behind_the_link,
                self.move_the_link,
                self.move_what_the_link_is_to,
                self.add_outside,
                self.remove_outside,
                self.set_a_variable,
                self.touch,
                self.switch,
                self.stash,
                self.revert,
                self.commit,
                self.replace_directory,
                self.grow_and_edit,
                self.nothing,
            ]
        )
        does()
        if self.rng.random() < 0.5:
            self.rest()
        return does.__name__

    def rest(self) -> None:
        """Leave all alone for a moment: what has just changed is not remembered."""
        made = (self.place.parent, *self.place.parent.rglob("*"))
        last = max(os.lstat(at).st_ctime_ns for at in made)
        while time.time_ns() <= last + outside.QUICK:
            pass


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    monkeypatch.setenv("NIXERYD_NEVER_STALE", "start")
    monkeypatch.setenv("NIX_PATH", f"never-stale={tmp_path}/link")


async def what_nix_gives(nix, source):
    word = f"(import {source} {{ system = builtins.currentSystem; }}).word.outPath"
    said = await nix.run(
        ["nix-instantiate", "--eval", "--strict", "--json", "-E", word]
    )
    return json.loads(said)


def paths_in(builder, manifest):
    """Tell which store paths an image's layers hold."""
    digests = [layer["digest"] for layer in json.loads(manifest.body)["layers"]]
    rows = builder._index._db.execute("SELECT digest, paths FROM layers")
    return {
        path
        for digest, paths in rows
        if digest in digests
        for path in json.loads(paths)
    }


@pytest.mark.parametrize("watch", [True, False])
async def test_no_pull_is_ever_stale(nix, tmp_path, watch):
    rng = random.Random(SEED)
    checkout = Checkout(tmp_path / "checkout", rng)
    done = []
    async with open_builder(
        nix, checkout.place, tmp_path / "data", watch=watch
    ) as builder:
        for number in range(ROUNDS if watch else 10):
            done.append(checkout.do_something())
            manifest = await builder.manifest(("word",), "latest")
            wanted = await what_nix_gives(nix, checkout.place)
            found = paths_in(builder, manifest)
            assert found == {wanted}, f"round {number}, seed {SEED}: {done}"


async def test_no_pull_is_stale_while_builds_run(nix, tmp_path):
    """Edits and pulls overlap; each pull gets what was there when it began."""
    rng = random.Random(SEED)
    checkout = Checkout(tmp_path / "checkout", rng)
    file = checkout.place / "default.nix"
    gate = tmp_path / "gate"
    gate.touch()
    file.write_text(SET.replace("/nowhere", str(gate)))
    outcomes = {}

    async with open_builder(
        nix, checkout.place, tmp_path / "data", watch=True
    ) as builder:

        async def pull(number, wanted):
            manifest = await builder.manifest(("word",), "latest")
            outcomes[number] = (wanted, paths_in(builder, manifest))

        async with trio.open_nursery() as clients:
            for number in range(6):
                checkout.do_something()
                checkout.edit_twice_at_once()
                wanted = await what_nix_gives(nix, checkout.place)
                clients.start_soon(pull, number, wanted)
                async with builder.pull(("word",), "latest") as channel:
                    async for event in channel:
                        if isinstance(event, events.Building):
                            break
            gate.unlink()
    assert len(outcomes) == 6
    for number, (wanted, found) in outcomes.items():
        assert found == {wanted}, f"pull {number}, seed {SEED}"
