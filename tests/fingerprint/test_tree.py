"""Sums of digests: what they tell apart, and what a walk believes."""

import os

import msgspec
import pytest

from nixeryd.fingerprint import contents
from nixeryd.fingerprint.tree import Tree


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
    assert (len(tree), tree.total, tree.links) == (0, 0, {})


def test_starting_over_comes_to_the_same_without_reading(tree, monkeypatch):
    monkeypatch.setattr(contents, "SETTLING", -(10**18))
    tree.walk(go_on)
    total = tree.total
    monkeypatch.setattr(contents, "read_file", None)
    tree.start_over()
    assert tree.total == 0
    tree.walk(go_on)
    assert tree.total == total


def test_a_memory_of_another_tree_or_format_is_not_used(tree, repository, tmp_path):
    file = tmp_path / "digests"
    tree.save(file)
    own, other = Tree(os.fsencode(repository)), Tree(b"/other")
    own.load(file)
    other.load(file)
    assert own._remembered == tree._records
    assert not other._remembered


def test_a_memory_with_a_damaged_block_is_no_memory(tree, repository, tmp_path):
    file = tmp_path / "digests"
    tree.save(file)
    saved = msgspec.msgpack.decode(file.read_bytes())
    file.write_bytes(msgspec.msgpack.encode([*saved[:2], [saved[2][0], b"damage"]]))
    again = Tree(os.fsencode(repository))
    again.load(file)
    assert not again._remembered
