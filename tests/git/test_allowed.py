"""What a tag may mean: branches, tags, and commits that they contain."""

import pytest

from nixeryd.git import allowed as allowed_module, ancestry as ancestry_module
from nixeryd.git.allowed import Allowed
from nixeryd.git.command import GitFailed
from nixeryd.git.repository import NoSuchRef, open_repository


@pytest.fixture
def repo(make_repository):
    """A checkout with an evil commit that is in its object database only."""
    repo = make_repository()
    repo.one = repo.commit({"default.nix": "1"})
    repo.two = repo.commit({"default.nix": "2"})
    repo.git("checkout", "--quiet", "--detach")
    repo.evil = repo.commit({"default.nix": "evil"})
    repo.git("checkout", "--quiet", "main")
    return repo


@pytest.fixture
def walks(monkeypatch):
    """The commits whose history was walked."""
    seen = []
    real = ancestry_module.git

    async def noted(directory, *arguments, **options):
        seen.append(arguments[2 : arguments.index("--not")])
        return await real(directory, *arguments, **options)

    monkeypatch.setattr(ancestry_module, "git", noted)
    return seen


async def meaning(repo, ref, allowed=None):
    found = await (allowed or Allowed()).resolve(await open_repository(repo.path), ref)
    return found.commit, found.is_own


async def test_a_commit_that_no_ref_contains_is_refused(repo):
    for ref in (repo.evil, repo.evil[:9]):
        with pytest.raises(NoSuchRef, match=r"no branch or tag.*git -C .* branch NAME"):
            await meaning(repo, ref)
    assert await meaning(repo, repo.one) == (repo.one, True)
    repo.git("branch", "mine", repo.evil)
    assert await meaning(repo, repo.evil) == (repo.evil, True)


@pytest.mark.parametrize(
    "name",
    [
        "FETCH_HEAD",
        "ORIG_HEAD",
        "MERGE_HEAD",
        "stash",
        "refs-stash",
        "refs/stash",
        "pull-3-head",
        "refs-pull-3-head",
        "refs/pull/3/head",
        "pull/3/head",
        "notes-commits",
        "main@{1}",
        "@{-1}",
        "@",
        "HEAD~1",
        "main^",
        "v1-1-gEVIL",
        ":/evil",
        "abcdef1",
        "worktrees/other/HEAD",
    ],
)
async def test_no_other_name_means_a_commit(repo, name):
    repo.git("tag", "v1", repo.one)
    for ref in ("refs/stash", "refs/pull/3/head", "refs/notes/commits"):
        repo.git("update-ref", ref, repo.evil)
    for pseudo in ("FETCH_HEAD", "ORIG_HEAD", "MERGE_HEAD", "abcdef1"):
        (repo.path / ".git" / pseudo).write_text(f"{repo.evil}\n")
    with pytest.raises(NoSuchRef):
        await meaning(repo, name.replace("EVIL", repo.evil[:7]))


async def test_the_commit_checked_out_is_the_users_whatever_contains_it(repo):
    repo.git("checkout", "--quiet", "--detach", repo.evil)
    for ref in ("HEAD", repo.evil):
        assert await meaning(repo, ref) == (repo.evil, True)


async def test_what_was_fetched_of_others_may_be_named_and_is_theirs(repo):
    repo.git("update-ref", "refs/remotes/fork/topic", repo.evil)
    repo.git("update-ref", "refs/remotes/origin/main", repo.two)
    for ref in ("fork-topic", "topic", repo.evil, repo.evil[:8]):
        assert await meaning(repo, ref) == (repo.evil, False), ref
    assert await meaning(repo, "origin-main") == (repo.two, True), "and of main"


async def test_more_may_be_configured_and_is_theirs(repo):
    repo.git("update-ref", "refs/pull/3/head", repo.evil)
    repo.git("update-ref", "refs/merge-requests/3/head", repo.evil)
    some = Allowed(more=("refs/pull/*",))
    for ref in ("pull-3-head", "refs/pull/3/head", repo.evil):
        assert await meaning(repo, ref, some) == (repo.evil, False), ref
    for ref in ("merge-requests-3-head", "refs/merge-requests/3/head"):
        with pytest.raises(NoSuchRef):
            await meaning(repo, ref, some)
    one = Allowed(more=("refs/merge-requests/3/head",))
    assert await meaning(repo, "merge-requests-3-head", one) == (repo.evil, False)


async def test_a_replaced_commit_or_a_graft_proves_nothing(repo):
    child = repo.git("commit-tree", "-p", repo.evil, "-m", "x", "main^{tree}")
    repo.git("replace", repo.two, child)
    (repo.path / ".git" / "info").mkdir(exist_ok=True)
    with pytest.raises(NoSuchRef):
        await meaning(repo, repo.evil)


async def test_an_answer_is_remembered_until_refs_leave_it(repo, walks):
    allowed = Allowed()
    for _ in range(3):
        assert await meaning(repo, repo.one, allowed) == (repo.one, True)
        with pytest.raises(NoSuchRef):
            await meaning(repo, repo.evil, allowed)
    assert walks == [(repo.one,), (repo.evil,)]
    walks.clear()
    three = repo.commit({"default.nix": "3"})
    assert await meaning(repo, repo.one, allowed) == (repo.one, True)
    assert walks == [(repo.two,)], "only what the branch has left is looked for"
    repo.git("update-ref", "refs/heads/main", repo.git("rev-parse", f"{repo.one}"))
    repo.git("reset", "--quiet", "--hard")
    with pytest.raises(NoSuchRef):
        await meaning(repo, three, allowed)
    assert await meaning(repo, repo.one, allowed) == (repo.one, True)


async def test_what_takes_too_long_is_no(repo, monkeypatch):
    monkeypatch.setattr(ancestry_module, "PATIENCE", 0)
    with pytest.raises(GitFailed, match="commit-graph write --reachable"):
        await meaning(repo, repo.one)


async def test_an_empty_repository_has_no_commit(make_repository):
    empty = make_repository("empty")
    with pytest.raises(GitFailed):
        await meaning(empty, "HEAD")
    with pytest.raises(NoSuchRef):
        await meaning(empty, "0123456789" * 4)


def test_patterns_are_looked_up_below_their_fixed_part():
    fixed = allowed_module._fixed_part
    assert fixed("refs/pull/*") == "refs/pull"
    assert fixed("refs/pull/*/head") == "refs/pull"
    assert fixed("refs/pull/3/head") == "refs/pull/3/head"
    assert fixed("refs/p*") == "refs"
