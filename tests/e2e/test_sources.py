"""Sources from the outside: refs as tags, search, popularity, and no network."""

import subprocess
from pathlib import Path

import pytest

from tests.e2e.processes import environment
from tests.e2e.serving import NIXERYD, ODD, Daemon, serving
from tests.git.conftest import Repo

HELLO = """{ system, ... }: let
  make = name: derivation {
    inherit name system; builder = "/bin/sh"; args = [ "-c" "echo > $out" ];
  };
in {
  cacert = make "cacert";
  iana-etc = make "iana-etc";
  hello = make "hello-WORD" // { meta.description = "Says WORD"; };
}"""


def set_of(word: str) -> dict[str, str]:
    return {"default.nix": HELLO.replace("WORD", word)}


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    repo = Repo(tmp_path / "nixpkgs")
    repo.path.mkdir()
    repo.git("init", "--quiet", "--initial-branch=main")
    repo.commit(set_of("one"))
    repo.git("tag", "v1")
    repo.commit(set_of("two"))
    repo.write(set_of("dirty"))
    return repo


def command(daemon: Daemon, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [NIXERYD, *words, f"--data-dir={daemon.data}"],
        env=environment(HOME=str(daemon.place / "home"), XDG_CONFIG_HOME=None),
        capture_output=True,
        text=True,
        check=False,
    )


def contents(daemon: Daemon, tag: str) -> str:
    """Return the configuration of an image: its history names the store paths."""
    manifest = daemon.manifest(f"hello:{tag}")
    assert manifest.status == 200, manifest
    config = manifest.json["config"]["digest"]
    return daemon.ask(f"/v2/hello/blobs/{config}").body.decode()


def test_refs_search_popularity_and_offline(repo: Repo, tmp_path: Path):
    with serving(tmp_path, f"--nixpkgs={repo.path}", environ=ODD) as daemon:
        for tag, word in (("latest", "dirty"), ("main", "two"), ("v1", "one")):
            assert f"hello-{word}" in contents(daemon, tag)

        found = command(daemon, "search", "hel")
        assert found.stdout.split() == ["hello", "Says", "dirty"], found
        found = command(daemon, "search", "nothing", "like", "it")
        assert (found.returncode, found.stdout) == (1, "")
        assert "no package has nothing and like and it" in found.stderr

        counted = command(daemon, "popularity")
        assert counted.returncode == 0, counted
        assert "names from your store" in counted.stdout
        assert (daemon.data / "popularity.json").exists()

        assert command(daemon, "offline").stdout == "online\n"
        switched = command(daemon, "offline", "on")
        assert (switched.returncode, switched.stdout[:9]) == (0, "offline: ")
        assert "hello-two" in contents(daemon, "HEAD")
        assert "told to be offline" in command(daemon, "status").stdout
