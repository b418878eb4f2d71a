"""Nix's garbage collection, for real: in a store that is this test's alone.

The daemon and the collector run in a mount namespace where /nix is a directory of
the test. Nothing is collected before that is certain.
"""

import json
import os
import shutil
import subprocess
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.command import Command
from tests.e2e.conftest import need
from tests.e2e.serving import NO_SANDBOX, PACKAGES, Daemon, serving

_PRIVATE = 'mount --bind "$0" /nix && exec "$@"'
_SET = """\
arguments:
let set = import {packages} arguments; in
set // {{
  fresh = derivation (set.curious.drvAttrs // {{ nonce = "{nonce}"; }});
  # Until told to go on; it needs what has to be there until then.
  waits = derivation {{
    name = "waits";
    inherit (set.curious) system;
    builder = "/bin/sh";
    args = [ "-euc" ''
      echo > {place}/begun
      while ! test -e {place}/go; do sleep 0.1; done
      cat $needs/* > $out
    '' ];
    PATH = "/usr/bin:/bin";
    needs = derivation {{
      name = "needs";
      inherit (set.curious) system;
      builder = "/bin/sh";
      args = [ "-euc" "mkdir $out; echo {nonce} > $out/file" ];
      PATH = "/usr/bin:/bin";
    }};
  }};
}}
"""


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass
class Private:
    """A store of its own, and a package in it that changes when told to."""

    place: Path

    @property
    def nix(self) -> Path:
        return self.place / "nix"

    @property
    def source(self) -> Path:
        return self.place / "source"

    def change(self) -> None:
        self.change_to(str(uuid.uuid4()))

    def change_to(self, nonce: str) -> None:
        text = _SET.format(packages=PACKAGES, place=self.place, nonce=nonce)
        (self.source / "default.nix").write_text(text)

    @property
    def inside(self) -> tuple[str, ...]:
        """What starts a program for which this is /nix."""
        return ("unshare", "--mount", "sh", "-c", _PRIVATE, str(self.nix))

    def serving(self, **environ: str):
        return serving(
            self.place,
            f"--nixpkgs={self.source}",
            prefix=self.inside,
            environ={"NIX_CONFIG": NO_SANDBOX, **environ},
        )

    def collect(self, daemon: Daemon) -> None:
        """Collect all that has no root."""
        inside = ["nsenter", "--mount", f"--target={daemon.process.pid}"]
        seen = run(*inside, "stat", "--format=%d:%i", "/nix").strip()
        ours, real = self.nix.stat(), Path("/nix").stat()
        assert seen == f"{ours.st_dev}:{ours.st_ino}"
        assert seen != f"{real.st_dev}:{real.st_ino}"
        run(*inside, "nix-store", "--gc")

    @contextmanager
    def collecting(self, daemon: Daemon) -> Iterator[list[None]]:
        """Collect again and again until the block ends; counts how often."""
        ended = threading.Event()
        done: list[None] = []

        def collect() -> None:
            while not ended.is_set():
                self.collect(daemon)
                done.append(None)

        with ThreadPoolExecutor() as pool:
            collector = pool.submit(collect)
            try:
                yield done
            finally:
                ended.set()
            collector.result()

    def has(self, path: str) -> bool:
        return (self.nix / Path(path).relative_to("/nix")).exists()


@pytest.fixture
def private(tmp_path):
    need("nix-store", "unshare", "nsenter", root=True)
    private = Private(tmp_path)
    private.nix.mkdir()
    private.source.mkdir()
    private.change()
    # Two that find no store at once are in each other's way ("creating symlink from
    # '/nix/var/nix/gcroots/profiles' …: File exists", Nix 2.8).
    run(*private.inside, "nix-store", "--init")
    yield private
    # What is in a store is read-only.
    for directory, _, _ in os.walk(private.nix):
        Path(directory).chmod(0o700)
    shutil.rmtree(private.nix)


def output(nixeryd: Command) -> str:
    layers = json.loads(nixeryd.done("show", "--json", "fresh"))["layers"]
    paths = [path for layer in layers for path in layer["paths"]]
    (found,) = [path for path in paths if path.endswith("-curious")]
    return found


def pull(daemon: Daemon) -> tuple[bytes, ...]:
    """Pull an image; gives all bytes of it."""
    manifest = daemon.manifest("fresh")
    assert manifest.status == 200, manifest.body
    blobs = [manifest.json["config"], *manifest.json["layers"]]
    answers = [daemon.ask(f"/v2/fresh/blobs/{one['digest']}") for one in blobs]
    assert {answer.status for answer in answers} == {200}
    return (manifest.body, *(answer.body for answer in answers))


def test_what_an_image_is_made_of_stays_until_the_image_goes(private):
    with private.serving() as daemon:
        nixeryd = Command(daemon.data)
        first = pull(daemon)
        path = output(nixeryd)
        private.collect(daemon)
        assert private.has(path)
        assert pull(daemon) == first
        private.change()
        pull(daemon)
        new = output(nixeryd)
        private.collect(daemon)
        assert (private.has(path), private.has(new)) == (False, True)
    with private.serving() as daemon:
        # A restart lets nothing go.
        private.collect(daemon)
        assert private.has(new)
        before = pull(daemon)
        nixeryd.done("rm", "fresh")
        private.collect(daemon)
        assert not private.has(new)
        assert pull(daemon) == before
        nixeryd.done("gc", "--max-size", "0")
        private.collect(daemon)
        assert not private.has(new)


def test_an_image_needs_no_root_to_be_served(private):
    with private.serving(NIXERYD_NIX_KEEP_ROOTS="false") as daemon:
        before = pull(daemon)
        path = output(Command(daemon.data))
        private.collect(daemon)
        assert not private.has(path)
        assert pull(daemon) == before


def test_a_collection_in_mid_build_takes_nothing_that_the_build_needs(private):
    with private.serving() as daemon, ThreadPoolExecutor() as pool:
        asking = pool.submit(daemon.manifest, "waits")
        try:
            daemon.process.wait_until((private.place / "begun").exists)
            private.collect(daemon)
        finally:
            (private.place / "go").touch()
        answer = asking.result()
        assert answer.status == 200, answer.body


def test_collections_all_the_time_make_no_wrong_image(private):
    """An image or a clear error, whenever they come; and all is well afterwards."""
    made = {}
    with private.serving() as daemon:
        with private.collecting(daemon) as collections:
            for nonce in ("one", "two"):
                private.change_to(nonce)
                answer = daemon.manifest("fresh")
                assert answer.status in {200, 403}, answer.body
                if answer.status == 200:
                    made[nonce] = pull(daemon)
                else:
                    assert "garbage" in answer.message, answer.body
            daemon.process.wait_until(lambda: len(collections) > 1)
        Command(daemon.data).done("gc", "--max-size", "0")
        private.collect(daemon)
        for nonce in ("one", "two"):
            private.change_to(nonce)
            again = pull(daemon)
            assert again == made.get(nonce, again)
