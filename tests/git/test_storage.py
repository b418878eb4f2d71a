"""What git keeps under the cap: counted, and let go in the order of its last use."""

import os
import time

import pytest
import trio

from nixeryd.git import storage as storage_module
from nixeryd.git.remote import Remote
from nixeryd.git.repository import open_repository
from nixeryd.git.storage import Storage
from nixeryd.git.trees import Trees
from nixeryd.runtime.offline import Offline

BIG = "x" * 200_000


@pytest.fixture
def repo(make_repository):
    repo = make_repository("upstream")
    repo.git("config", "uploadpack.allowFilter", "true")
    repo.one = repo.commit({"default.nix": BIG})
    repo.two = repo.commit({"default.nix": BIG + "2", "more": BIG})
    return repo


@pytest.fixture
def sizes():
    """What was told of the size of all of it."""
    return []


@pytest.fixture
def storage(tmp_path, monkeypatch, sizes):
    monkeypatch.setattr(storage_module, "IDLE", 0)
    storage = Storage(Trees(tmp_path / "trees"), tmp_path / "git")
    storage.on_size = sizes.append
    return storage


def remote_of(storage, repo, name="here"):
    url = f"file://{repo.path}"
    return storage.add(Remote(url, storage.fetched / name, Offline()))


async def lay_out(storage, repository, commit):
    async with storage.trees.hold(repository, commit):
        pass


def unused_since(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then))


async def test_all_of_it_is_counted_and_nothing_goes_without_a_limit(
    storage, repo, sizes
):
    remote = remote_of(storage, repo)
    await remote.fetch("main")
    await remote.fetch(repo.one)
    await lay_out(storage, remote.repository, repo.two)
    await storage.trim()
    assert sizes[-1] > 2 * len(BIG)
    assert all(place.exists() for place in remote.places)


async def test_what_was_unused_longest_goes_first(storage, repo, tmp_path, sizes):
    remote = remote_of(storage, repo)
    await remote.fetch(repo.one)
    await lay_out(storage, remote.repository, repo.one)
    files, past = remote.places
    orphan = storage.fetched / "of-no-source"
    orphan.mkdir()
    (orphan / "pack").write_text(BIG)
    (tree,) = (tmp_path / "trees").iterdir()
    for age, place in enumerate((files, tree, past, orphan)):
        unused_since(place, 100 + age)
    await storage.trim()
    storage.limit = sizes[-1] - 1
    await storage.trim()
    assert not orphan.exists()
    assert past.exists()
    storage.limit = 0
    await storage.trim()
    assert not any(place.exists() for place in (files, past, tree))
    assert sizes[-1] == 0
    assert await remote.fetch(repo.one) == repo.one
    async with storage.trees.hold(remote.repository, repo.one) as tree:
        assert (tree / "default.nix").read_text() == BIG


async def test_what_is_used_stays(storage, repo, tmp_path):
    remote = remote_of(storage, repo)
    await remote.fetch("main")
    storage.limit = 0
    async with storage.trees.hold(remote.repository, repo.two) as tree:
        for place in (tree.parent, remote.directory):
            unused_since(place, 100)
        await storage.trim()
        assert (tree / "more").read_text() == BIG
        assert remote.directory.exists()
    async with remote._lock:
        unused_since(remote.directory, 100)
        await storage.trim()
        assert remote.directory.exists()


async def test_what_was_used_a_moment_ago_stays(storage, repo, monkeypatch, sizes):
    monkeypatch.setattr(storage_module, "IDLE", 60)
    storage.limit = 0
    await lay_out(storage, await open_repository(repo.path), repo.two)
    await storage.trim()
    assert sizes[-1] > 2 * len(BIG)


async def test_a_change_is_seen_by_itself(storage, repo, nursery):
    seen = trio.Event()
    storage.on_size = lambda size: seen.set() if size > len(BIG) else None
    nursery.start_soon(storage.run)
    await lay_out(storage, await open_repository(repo.path), repo.two)
    with trio.fail_after(60):
        await seen.wait()
