import os

import pytest

from nixeryd.sources.fingerprint.head import read_head


def commit(git, directory):
    return git(directory)("rev-parse", "HEAD").encode()


def test_a_branch_is_followed_to_its_commit(repository, git):
    assert read_head(os.fsencode(repository)) == commit(git, repository)


def test_a_detached_head_is_its_commit(repository, git):
    git(repository)("switch", "-q", "--detach", "other")
    assert read_head(os.fsencode(repository)) == commit(git, repository)


def test_packed_refs_are_searched_again_when_they_are_rewritten(repository, git):
    at = git(repository)
    found = set()
    for _ in range(3):
        at("commit", "-q", "--allow-empty", "-m", "x")
        at("pack-refs", "--all")
        assert not (repository / ".git" / "refs" / "heads" / "main").exists()
        found.add(read_head(os.fsencode(repository)))
        assert commit(git, repository) in found
    assert len(found) == 3


def test_a_worktree_has_a_head_of_its_own(repository, git, tmp_path):
    git(repository)("worktree", "add", "-q", tmp_path / "tree", "other")
    found = read_head(os.fsencode(tmp_path / "tree"))
    assert found == commit(git, tmp_path / "tree")
    assert found != read_head(os.fsencode(repository))


def test_a_submodule_is_found_through_a_relative_path(repository, git, tmp_path):
    outer = tmp_path / "outer"
    git(tmp_path)("init", "-q", outer)
    git(outer)("submodule", "--quiet", "add", str(repository), "part")
    assert read_head(os.fsencode(outer / "part")) == commit(git, repository)


def test_symbolic_references_of_symbolic_references_are_followed(repository, git):
    at = git(repository)
    at("symbolic-ref", "refs/heads/alias", "refs/heads/other")
    at("symbolic-ref", "HEAD", "refs/heads/alias")
    assert read_head(os.fsencode(repository)) == commit(git, repository)


@pytest.mark.parametrize("target", ["refs/heads/loop", "refs/heads/none"])
def test_what_leads_nowhere_is_no_commit(repository, git, target):
    at = git(repository)
    (repository / ".git" / "refs" / "heads" / "loop").write_text(f"ref: {target}\n")
    at("symbolic-ref", "HEAD", "refs/heads/loop")
    assert read_head(os.fsencode(repository)) == b""


def test_a_reftable_is_told_by_its_newest_table(repository):
    (repository / ".git" / "HEAD").write_text("ref: refs/heads/.invalid\n")
    (repository / ".git" / "reftable").mkdir()
    (repository / ".git" / "reftable" / "tables.list").write_text("0x1.ref\n")
    assert read_head(os.fsencode(repository)) == b"0x1.ref\n"


def test_no_repository_is_no_commit(tmp_path):
    assert read_head(os.fsencode(tmp_path)) == b""
