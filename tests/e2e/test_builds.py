"""Builds: one for all who ask, equal results, and everything again from the cache."""

import http.client
import shutil
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.registry import Answer
from tests.e2e.serving import (
    ODD,
    PACKAGES,
    Daemon,
    NixLog,
    note_nix_calls,
    serving,
)

CLIENTS = 50
# A package that no store has yet: whoever builds it twice is seen.
NEW_PACKAGE = """\
arguments:
let set = import {packages} arguments; in
set // {{ slow = derivation (set.slow.drvAttrs // {{ nonce = "{nonce}"; }}); }}
"""


@pytest.fixture
def nix_log(tmp_path: Path) -> NixLog:
    return note_nix_calls(tmp_path / "noted")


def test_fifty_clients_ask_at_once_and_one_build_answers_all(
    tmp_path: Path, nix_log: NixLog
):
    source = tmp_path / "new"
    source.mkdir()
    text = NEW_PACKAGE.format(packages=PACKAGES, nonce=uuid.uuid4())
    (source / "default.nix").write_text(text)
    environ = {**ODD, **nix_log.environ}
    with serving(tmp_path, f"--nixpkgs={source}", environ=environ) as daemon:
        open_flat_nursery = threading.Barrier(CLIENTS)

        def ask(number: int) -> Answer:
            open_flat_nursery.wait()
            return daemon.manifest("slow", "HEAD" if number % 2 else "GET")

        with ThreadPoolExecutor(CLIENTS) as pool:
            answers = list(pool.map(ask, range(CLIENTS)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.digest for answer in answers}) == 1
    # A second one follows what the source imports from elsewhere: see nix/told.py.
    assert len(nix_log.evaluations) == 2, nix_log.calls
    assert len(nix_log.builds) == 1, nix_log.calls


def blobs_of(daemon: Daemon) -> dict[str, int]:
    """Tell which blobs there are, and by their inodes which were written anew."""
    blobs = (daemon.data / "blobs").rglob("*")
    return {blob.name: blob.stat().st_ino for blob in blobs if blob.is_file()}


def test_digests_are_equal_after_the_cache_is_wiped_and_built_again(tmp_path: Path):
    seen = []
    for _ in range(2):
        with serving(tmp_path) as daemon:
            manifest = daemon.manifest("shell/hello")
            assert manifest.status == 200, manifest.body
            seen.append((manifest.body, blobs_of(daemon).keys()))
            data = daemon.data
        shutil.rmtree(data)
    assert seen[0] == seen[1]


@pytest.mark.parametrize("sandbox", ["true", "false"])
def test_the_demo_set_builds_with_and_without_the_sandbox(
    tmp_path: Path, daemon: Daemon, sandbox: str
):
    config = f"substitute = false\nsandbox = {sandbox}\n"
    with serving(tmp_path, environ={"NIX_CONFIG": config}) as other:
        manifest = other.manifest("shell/hello")
    assert manifest.status == 200, manifest.body
    assert manifest.digest == daemon.manifest("shell/hello").digest


def test_the_order_of_packages_does_not_matter(daemon: Daemon):
    orders = ["shell/python3/hello", "shell/hello/python3", "nix/shell/hello/python3"]
    assert len({daemon.manifest(name).digest for name in orders}) == 1


def test_after_a_restart_everything_is_served_from_the_cache(
    tmp_path: Path, nix_log: NixLog
):
    with serving(tmp_path) as daemon:
        manifest = daemon.manifest("shell/hello")
        assert manifest.status == 200, manifest.body
        before = blobs_of(daemon)
    with serving(tmp_path, environ=nix_log.environ) as daemon:
        for reference in ("latest", manifest.digest):
            again = daemon.ask(f"/v2/shell/hello/manifests/{reference}")
            assert again.body == manifest.body
        described = [manifest.json["config"], *manifest.json["layers"]]
        for blob in described:
            answer = daemon.ask(f"/v2/shell/hello/blobs/{blob['digest']}", "HEAD")
            assert answer.status == 200
            assert answer.headers["content-length"] == str(blob["size"])
        assert blobs_of(daemon) == before
    assert nix_log.builds == []


def test_a_power_cut_while_packing_leaves_nothing_that_harms(
    tmp_path: Path, daemon: Daemon
):
    expected = daemon.manifest("shell/python3").digest
    with pytest.raises(NotServedAnyMoreError), serving(tmp_path) as cut:
        cut_power_while_packing(cut, "shell/python3")
    with serving(tmp_path) as again:
        assert list((again.data / "staging").iterdir()) == []
        assert again.manifest("shell/python3").digest == expected


class NotServedAnyMoreError(Exception):
    pass


def cut_power_while_packing(daemon: Daemon, name: str) -> None:
    def ask() -> None:
        # Answered or cut off: either way the power goes.
        with suppress(OSError, http.client.HTTPException):
            daemon.manifest(name)

    client = threading.Thread(target=ask)
    client.start()
    daemon.process.wait_until(lambda: bool(blobs_of(daemon)))
    daemon.process.kill()
    client.join()
    raise NotServedAnyMoreError
