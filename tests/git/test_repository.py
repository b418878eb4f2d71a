import os

import pytest
import trio

from nixeryd.git.allowed import Allowed
from nixeryd.git.command import GitFailed, NoRepository
from nixeryd.git.repository import NoSuchRef, open_repository, refs_of_tag
from nixeryd.images.errors import RegistryError


@pytest.fixture
def repo(make_repository):
    repo = make_repository()
    repo.one = repo.commit({"default.nix": "1", "pkgs/a.nix": "1"})
    repo.git("tag", "v1.0")
    repo.git("branch", "feature/x")
    repo.two = repo.commit({"default.nix": "2"})
    return repo


async def resolve(directory, ref):
    meaning = await Allowed().resolve(await open_repository(directory), ref)
    return meaning.commit


async def test_branches_tags_commits_and_heads_are_refs(repo):
    for ref in ("v1.0", "feature/x", "feature-x", repo.one, repo.one[:7]):
        assert await resolve(repo.path, ref) == repo.one, ref
    for ref in ("main", "HEAD", repo.two):
        assert await resolve(repo.path, ref) == repo.two, ref


async def test_a_branch_is_what_it_is_now(repo):
    repo.git("branch", "--force", "v2", repo.one)
    assert await resolve(repo.path, "v2") == repo.one
    repo.git("branch", "--force", "v2", repo.two)
    assert await resolve(repo.path, "v2") == repo.two


async def test_remote_tracking_branches_are_found_by_their_short_name(repo, tmp_path):
    clone = tmp_path / "clone"
    repo.git("branch", "nixos-25.05", repo.one)
    repo.git("clone", "--quiet", str(repo.path), str(clone))
    for ref in ("nixos-25.05", "origin-nixos-25.05", "feature-x"):
        assert await resolve(clone, ref) == repo.one, ref


async def test_a_tag_that_may_mean_two_refs_is_ambiguous(repo):
    repo.git("branch", "a/b-c", repo.one)
    repo.git("branch", "a-b/c", repo.two)
    with pytest.raises(NoSuchRef, match=r"refs/heads/a-b/c.*refs/heads/a/b-c"):
        await resolve(repo.path, "a-b-c")


async def test_an_unknown_ref_names_near_ones(repo):
    with pytest.raises(NoSuchRef, match=r"no ref or commit feature-y.*feature-x"):
        await resolve(repo.path, "feature-y")
    with pytest.raises(NoSuchRef, match="mian; did you mean main"):
        await resolve(repo.path, "mian")


async def test_few_digits_are_no_commit(repo):
    with pytest.raises(NoSuchRef):
        await resolve(repo.path, repo.one[:6])
    repo.git("branch", repo.one[:6], repo.two)
    assert await resolve(repo.path, repo.one[:6]) == repo.two


@pytest.mark.parametrize("ref", ["--all", "-h", "main:default.nix", "main^{tree}"])
async def test_what_is_no_commit_is_no_ref(repo, ref):
    with pytest.raises(NoSuchRef):
        await resolve(repo.path, ref)


async def test_a_whole_commit_that_is_missing_is_no_commit(repo):
    repository = await open_repository(repo.path)
    missing = "0123456789" * 4
    with pytest.raises(NoSuchRef, match=f"no ref or commit {missing}"):
        await resolve(repo.path, missing)
    with pytest.raises(NoSuchRef, match=f"has no commit {missing}"):
        await repository.verify(missing)
    await repository.verify(repo.one)


async def test_a_shallow_clone_says_why_it_lacks_a_commit(repo, tmp_path):
    shallow = tmp_path / "shallow"
    repo.git("clone", "--quiet", "--depth=1", f"file://{repo.path}", str(shallow))
    repository = await open_repository(shallow)
    assert await resolve(shallow, "main") == repo.two
    with pytest.raises(NoSuchRef, match=r"shallow clone.*fetch --unshallow"):
        await resolve(shallow, repo.one[:10])
    with pytest.raises(NoSuchRef, match=r"shallow clone.*fetch --unshallow"):
        await repository.verify(repo.one)


async def test_a_bare_repository_and_a_worktree_are_repositories(repo, tmp_path):
    bare = tmp_path / "mirror.git"
    repo.git("clone", "--quiet", "--bare", str(repo.path), str(bare))
    found = await open_repository(bare)
    assert (found.is_bare, found.name) == (True, "mirror")
    assert await resolve(bare, "feature-x") == repo.one
    other = tmp_path / "other"
    repo.git("worktree", "add", "--quiet", str(other), "feature/x")
    found = await open_repository(other)
    assert (found.is_bare, found.name, found.inside) == (False, "other", "")
    assert await resolve(other, "HEAD") == repo.one
    assert await resolve(other, "main") == repo.two


async def test_a_directory_below_the_top_knows_its_place(repo):
    found = await open_repository(repo.path / "pkgs")
    assert (found.inside, found.name) == ("pkgs/", "nixpkgs")
    found = await open_repository(repo.path / "pkgs" / "a.nix")
    assert (found.inside, found.name) == ("pkgs/a.nix", "nixpkgs")


async def test_no_repository_is_said_so(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    directory = tmp_path / "plain"
    directory.mkdir()
    with pytest.raises(NoRepository, match=f"{directory} is no git repository"):
        await open_repository(directory)


async def test_variables_of_a_hook_mislead_nobody(repo, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "elsewhere" / "index"))
    assert await resolve(repo.path, "main") == repo.two


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
async def test_a_repository_of_somebody_else_is_not_read(repo):
    await trio.run_process(["chown", "-R", "12345", str(repo.path)])
    with pytest.raises(RegistryError, match=r"another user.*safe.directory") as caught:
        await open_repository(repo.path)
    assert caught.value.status == 403


async def test_a_broken_repository_is_an_error_in_gits_words(repo):
    (repo.path / ".git" / "config").write_text("[broken")
    with pytest.raises(GitFailed, match=r"git: .*config"):
        await open_repository(repo.path)


def test_local_refs_come_before_remote_ones():
    refs = ["refs/heads/a/b", "refs/remotes/o/a-b", "refs/remotes/o/c", "refs/stash"]
    assert refs_of_tag("a-b", refs) == ["refs/heads/a/b"]
    assert refs_of_tag("o-a-b", refs) == ["refs/remotes/o/a-b"]
    assert refs_of_tag("c", refs) == ["refs/remotes/o/c"]
    assert refs_of_tag("d", refs) == []
