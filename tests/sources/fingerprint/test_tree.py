"""Sums of digests: what they tell apart, and what a walk believes."""

import os

import msgspec
import pytest

from nixeryd.sources.fingerprint import contents
from nixeryd.sources.fingerprint.tree import Tree


def go_on():
    pass


@pytest.fixture
def tree(repository):
    tree = Tree(os.fsencode(repository))
    tree.walk(go_on)
    return tree


def test_where_a_file_is_counts(tree, repository):
    before = tree.total
    one, two = (repository / "pkgs" / n / "package.nix" for n in ("git", "curl"))
    first, second = one.read_text(), two.read_text()
    one.write_text(second)
    two.write_text(first)
    tree.walk(go_on)
    assert tree.total != before


def test_an_empty_directory_counts_and_its_end_too(tree, repository):
    before = tree.total
    (repository / "empty").mkdir()
    tree.walk(go_on)
    assert tree.total != before
    (repository / "empty").rmdir()
    tree.walk(go_on)
    assert tree.total == before
    assert len(tree) == 5


@pytest.mark.parametrize("settled", [True, False])
def test_a_walk_lists_a_directory_unless_its_stamp_is_settled(
    tree, repository, settled
):
    """A file made in the same tick of the clock leaves the stamp as it was."""
    true, directory = tree.total, tree.get(b"pkgs/git")
    forged = msgspec.structs.replace(directory, files=(), settled=settled)
    tree._put(b"pkgs/git", directory, forged)
    tree.walk(go_on)
    assert (tree.total != true) == settled


def test_forgetting_all_leaves_nothing(tree):
    assert b"pkgs/git" in set(tree.forget(b""))
    assert (len(tree), tree.total) == (0, 0)


def test_starting_over_comes_to_the_same_without_reading(tree, monkeypatch):
    monkeypatch.setattr(contents, "SETTLING", -(10**18))
    tree.walk(go_on)
    total = tree.total
    monkeypatch.setattr(contents, "read_file", None)
    tree.start_over()
    assert tree.total == 0
    tree.walk(go_on)
    assert tree.total == total


def test_a_memory_of_another_tree_is_not_used(tree, repository, tmp_path):
    file = tmp_path / "digests"
    tree.save(file, go_on)
    own, other = Tree(os.fsencode(repository)), Tree(b"/other")
    own.load(file, go_on)
    other.load(file, go_on)
    assert own._remembered == tree._records
    assert not other._remembered


def test_a_memory_that_was_cut_off_is_no_memory(tree, repository, tmp_path):
    file = tmp_path / "digests"
    tree.save(file, go_on)
    whole = file.read_bytes()
    for length in range(0, len(whole) - 1, 7):
        file.write_bytes(whole[:length])
        again = Tree(os.fsencode(repository))
        again.load(file, go_on)
        assert not again._remembered, length


@pytest.mark.parametrize("number", [1, 999, 1000, 1001, 2000])
def test_every_block_is_saved(tmp_path, number):
    tree = Tree(b"/none")
    tree._records = {b"%d" % i: b"" for i in range(number)}
    tree.save(tmp_path / "digests", go_on)
    again = Tree(b"/none")
    again.load(tmp_path / "digests", go_on)
    assert again._remembered == tree._records
