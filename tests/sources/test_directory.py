"""What a checkout is called: its commit, and whether files differ from it."""

import os

import pytest
import trio

from nixeryd.git.trees import Trees
from nixeryd.sources import directory
from nixeryd.sources.directory import Directory
from nixeryd.sources.fingerprint import open_checkout
from tests.sources.conftest import package_set


@pytest.fixture
def repo(make_repository):
    return make_repository("nixpkgs")


@pytest.fixture
def asked(monkeypatch):
    """How often git was asked."""
    asked = []
    describe = directory.describe

    async def note(path):
        asked.append(path)
        return await describe(path)

    monkeypatch.setattr(directory, "describe", note)
    return asked


@pytest.fixture
async def source(repo, tmp_path, nursery):
    """A checkout that is watched."""
    one = repo.commit({"default.nix": package_set("one")})
    # A file as young as git's list of files makes git write that anew each time.
    os.utime(repo.path / "default.nix", (0, 0))
    repo.git("update-index", "--refresh")
    async with open_checkout(repo.path, nursery, home=tmp_path) as checkout:
        with trio.fail_after(60):
            await checkout.wait_opened()
        source = Directory("work", repo.path, Trees(tmp_path / "trees"), checkout)
        assert await source.revision() == one
        yield source


async def test_git_is_asked_once_about_what_stays_as_it_is(source, repo, asked):
    one = await source.revision()
    before = len(asked)
    for _ in range(3):
        assert await source.revision() == one
    assert len(asked) == before


async def test_every_change_is_told(source, repo):
    one = await source.revision()
    repo.write({"default.nix": package_set("dirty")})
    assert await source.revision() == f"{one}-dirty"
    repo.write({"default.nix": package_set("one")})
    assert await source.revision() == one
    # Of no file that git knows: it is as it was, until git is told of it.
    repo.write({"new.nix": "new"})
    assert await source.revision() == one
    repo.git("add", "new.nix")
    assert await source.revision() == f"{one}-dirty"
    two = repo.commit({"default.nix": package_set("two")})
    assert await source.revision() == two


async def test_what_is_not_watched_is_asked_about_each_time(repo, tmp_path, asked):
    one = repo.commit({"default.nix": package_set("one")})
    source = Directory("work", repo.path, Trees(tmp_path / "trees"))
    assert await source.revision() == await source.revision() == one
    assert len(asked) == 2
