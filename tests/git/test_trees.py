import json
from pathlib import Path

import pytest
import trio
import trio.testing

from nixeryd.git import trees as trees_module
from nixeryd.git.command import GitFailed
from nixeryd.git.repository import open_repository
from nixeryd.git.trees import Trees


def files(tree):
    return {
        str(path.relative_to(tree)): path.read_text("latin-1")
        for path in Path(tree).rglob("*")
        if path.is_file()
    }


@pytest.fixture
def repo(make_repository):
    repo = make_repository()
    repo.one = repo.commit({"default.nix": "1", "pkgs/a.nix": "a", "gone": "g"})
    repo.git("rm", "--quiet", "gone")
    repo.two = repo.commit({"default.nix": "2"})
    return repo


@pytest.fixture
def git_runs(monkeypatch):
    """The git commands that trees were laid out with."""
    runs = []
    real = trees_module.neutral_git

    async def counted(directory, *arguments, **options):
        runs.extend({"read-tree", "diff-files"} & {*arguments})
        return await real(directory, *arguments, **options)

    monkeypatch.setattr(trees_module, "neutral_git", counted)
    return runs


async def read(trees, repo, commit):
    async with trees.hold(await open_repository(repo.path), commit) as tree:
        assert tree.name == repo.path.name, "it is part of store paths"
        return files(tree)


async def test_a_commit_is_laid_out_and_the_working_tree_untouched(repo, tmp_path):
    repo.write({"default.nix": "dirty", "untracked": "u"})
    repo.git("add", "untracked")
    status = repo.git("status", "--porcelain")
    before = files(repo.path)  # .git and all
    trees = Trees(tmp_path / "trees")
    assert await read(trees, repo, repo.one) == {
        "default.nix": "1",
        "pkgs/a.nix": "a",
        "gone": "g",
    }
    assert await read(trees, repo, repo.two) == {"default.nix": "2", "pkgs/a.nix": "a"}
    assert files(repo.path) == before
    assert repo.git("status", "--porcelain") == status


async def test_disk_use_is_bounded_and_slots_are_used_again(repo, tmp_path):
    trees = Trees(tmp_path / "trees", slots=2)
    commits = [repo.one, repo.two, repo.commit({"default.nix": "3"})]
    for commit in commits * 2:
        assert await read(trees, repo, commit)
    assert len(list((tmp_path / "trees").iterdir())) <= 2


async def test_a_near_commit_takes_the_place_of_another(repo, tmp_path):
    trees = Trees(tmp_path / "trees")
    await read(trees, repo, repo.one)
    await read(trees, repo, repo.two)
    assert len(list((tmp_path / "trees").iterdir())) == 1


async def test_a_far_commit_and_a_near_one_that_is_held_take_a_new_place(
    repo, tmp_path, monkeypatch
):
    trees = Trees(tmp_path / "trees", slots=2)
    repository = await open_repository(repo.path)
    async with (
        trees.hold(repository, repo.one) as one,
        trees.hold(repository, repo.two) as two,
    ):
        assert (files(one)["default.nix"], files(two)["default.nix"]) == ("1", "2")
    monkeypatch.setattr(trees_module, "_NEAR", 0)
    trees = Trees(tmp_path / "others", slots=3)
    for commit in (repo.one, repo.two):
        await read(trees, repo, commit)
    assert len(list((tmp_path / "others").iterdir())) == 2


async def test_all_who_want_one_commit_share_the_work(repo, tmp_path, git_runs):
    trees = Trees(tmp_path / "trees")
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(read, trees, repo, repo.one)
    assert git_runs == ["read-tree"]


async def test_a_held_tree_stays_and_others_wait(repo, tmp_path):
    trees = Trees(tmp_path / "trees", slots=1)
    seen = []

    async def other():
        seen.append(await read(trees, repo, repo.two))

    repository = await open_repository(repo.path)
    async with (
        trio.open_nursery() as nursery,
        trees.hold(repository, repo.one) as tree,
    ):
        nursery.start_soon(other)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert files(tree)["default.nix"] == "1"
        assert not seen
    assert seen[0]["default.nix"] == "2"


async def test_the_next_daemon_uses_what_the_last_one_left(repo, tmp_path, git_runs):
    await read(Trees(tmp_path / "trees"), repo, repo.one)
    assert (await read(Trees(tmp_path / "trees"), repo, repo.one))["gone"] == "g"
    assert git_runs == ["read-tree", "diff-files"]


@pytest.mark.parametrize("harm", ["changed", "lost", "half", "no index", "marker"])
async def test_what_a_crash_left_is_not_trusted(repo, tmp_path, harm):
    await read(Trees(tmp_path / "trees"), repo, repo.one)
    (slot,) = (tmp_path / "trees").iterdir()
    match harm:
        case "changed":
            (slot / "nixpkgs" / "default.nix").write_text("")
        case "lost":
            (slot / "nixpkgs" / "default.nix").unlink()
        case "half":
            (slot / "content.json").unlink()
            (slot / "nixpkgs" / "default.nix").write_text("")
        case "no index":
            (slot / "index").unlink()
        case "marker":
            (slot / "content.json").write_text(json.dumps(["x"]))
    found = await read(Trees(tmp_path / "trees", slots=1), repo, repo.one)
    assert found == {"default.nix": "1", "pkgs/a.nix": "a", "gone": "g"}


async def test_a_missing_commit_fails_and_the_slot_lives_on(repo, tmp_path):
    trees = Trees(tmp_path / "trees", slots=1)
    for _ in range(2):
        with pytest.raises(GitFailed):
            await read(trees, repo, "0123456789" * 4)
        assert await read(trees, repo, repo.two)


async def test_cancelled_half_way_it_is_done_again(repo, tmp_path, autojump_clock):
    trees = Trees(tmp_path / "trees", slots=1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await read(trees, repo, repo.one)
    assert (await read(trees, repo, repo.one))["gone"] == "g"


async def test_a_sparse_checkout_is_laid_out_whole(repo, tmp_path):
    repo.git("sparse-checkout", "set", "elsewhere")
    assert not (repo.path / "pkgs").exists()
    found = await read(Trees(tmp_path / "trees"), repo, repo.two)
    assert found == {"default.nix": "2", "pkgs/a.nix": "a"}


async def test_no_hook_of_the_repository_runs(repo, tmp_path):
    hooks = repo.path / ".git" / "hooks"
    for name in ("post-checkout", "post-index-change", "post-merge"):
        (hooks / name).write_text(f"#!/bin/sh\n: > {tmp_path}/ran\n")
        (hooks / name).chmod(0o755)
    await read(Trees(tmp_path / "trees"), repo, repo.one)
    assert not (tmp_path / "ran").exists()


async def test_a_partial_clone_fetches_nothing_and_says_what_to_do(repo, tmp_path):
    repo.git("config", "uploadpack.allowFilter", "true")
    repo.git("config", "uploadpack.allowAnySHA1InWant", "true")
    clone = type(repo)(tmp_path / "clone")
    url = f"file://{repo.path}"
    repo.git("clone", "--quiet", "--filter=blob:none", url, str(clone.path))
    with pytest.raises(GitFailed, match="partial clone"):
        await read(Trees(tmp_path / "trees"), clone, repo.one)


async def test_two_repositories_do_not_mix(repo, make_repository, tmp_path):
    other = make_repository("other")
    other.one = other.commit({"default.nix": "o"})
    trees = Trees(tmp_path / "trees", slots=1)
    for _ in range(2):
        assert (await read(trees, repo, repo.one))["gone"] == "g"
        assert await read(trees, other, other.one) == {"default.nix": "o"}
