"""Sources elsewhere: fetching is a part of the build, and clients need not wait."""

import socket
from dataclasses import replace

import pytest
import trio

from nixeryd.git.remote import Remote
from nixeryd.git.trees import Trees
from nixeryd.images.errors import RegistryError
from nixeryd.images.served_manifests import Patience, StillBuilding
from nixeryd.runtime.offline import Offline
from nixeryd.sources.git_url import GitUrl
from nixeryd.sources.tarball import Channel
from tests.builder.conftest import open_builder
from tests.builder.test_freshness import break_nix
from tests.git.conftest import Repo


@pytest.fixture
def silence():
    """The URL of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def online(nix):
    return replace(nix, offline=Offline(has_network=lambda: True))


@pytest.fixture
def open_far(online, tmp_path):
    """Open a builder whose source is a channel or git repository at a URL."""

    def open_it(kind, url, nix=online):
        data = tmp_path / "data"
        if kind == "channel":
            remote = Remote(url, tmp_path / "nixpkgs", nix.offline)
            source = Channel("here", f"{url}/x.tar.xz", nix, tmp_path / "root", remote)
        else:
            remote = Remote(url, tmp_path / "git", nix.offline)
            source = GitUrl("here", remote, "", Trees(tmp_path / "trees"))
        return open_builder(nix, source, data)

    return open_it


@pytest.mark.parametrize("kind", ["channel", "git"])
async def test_who_cannot_wait_for_a_download_is_sent_away(open_far, silence, kind):
    async with open_far(kind, silence) as builder:
        with pytest.raises(StillBuilding):
            await builder.manifest(("word",), "latest", Patience(0))
        assert len(builder.runs()) == 1


@pytest.mark.parametrize("kind", ["channel", "git"])
async def test_offline_nothing_is_waited_for(open_far, nix, silence, kind):
    cut = replace(nix, offline=Offline(told=True))
    async with open_far(kind, silence, cut) as builder:
        with (
            trio.fail_after(30),
            pytest.raises(RegistryError, match=r"cannot be|never") as told,
        ):
            await builder.manifest(("word",), "latest")
    assert told.value.status == 403


async def test_what_was_fetched_is_served_without_nix(
    open_far, write_set, tmp_path, monkeypatch
):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    repo = Repo(tmp_path / "upstream")
    repo.path.mkdir()
    repo.git("init", "--quiet", "--initial-branch=main")
    text = write_set('word = make "word" "echo > $out";').read_text()
    repo.commit({"default.nix": text})
    async with open_far("git", f"file://{repo.path}") as builder:
        made = await builder.manifest(("word",), "latest")
        break_nix(builder)
        for tag in ("latest", "main"):
            assert await builder.manifest(("word",), tag) == made
