import os

import pytest

from nixeryd.sources.fingerprint.scope import NoScopeError, find_scope


def test_a_plain_directory_is_watched_alone(tmp_path):
    (tmp_path / "set").mkdir()
    scope = find_scope(tmp_path / "set", tmp_path)
    assert scope.root == os.fsencode(tmp_path / "set")


@pytest.mark.parametrize("marker", ["directory", "file"])
def test_the_work_tree_around_it_is_watched_with_it(tmp_path, marker):
    source = tmp_path / "repo" / "nix" / "set"
    source.mkdir(parents=True)
    git = tmp_path / "repo" / ".git"
    git.mkdir() if marker == "directory" else git.touch()
    assert find_scope(source, tmp_path).root == os.fsencode(tmp_path / "repo")


def test_a_home_directory_under_git_is_not(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / "set").mkdir()
    scope = find_scope(tmp_path / "set", tmp_path)
    assert scope.root == os.fsencode(tmp_path / "set")


@pytest.mark.parametrize("source", [".", "set.nix", ".."])
def test_what_is_as_wide_as_a_home_directory_is_refused(tmp_path, source):
    (tmp_path / "set.nix").touch()
    with pytest.raises(NoScopeError, match="too much to watch"):
        find_scope(tmp_path / source, tmp_path)


def test_what_is_not_there_is_refused(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for name in ("none", "loop"):
        with pytest.raises(NoScopeError, match="is not there"):
            find_scope(tmp_path / name, tmp_path)


def test_it_holds_until_a_parent_is_another(tmp_path):
    source = tmp_path / "a" / "set"
    source.mkdir(parents=True)
    scope = find_scope(source, tmp_path)
    assert scope.still_holds()
    (tmp_path / "a").rename(tmp_path / "b")
    assert not scope.still_holds()
    source.mkdir(parents=True)
    assert not scope.still_holds()


def test_it_holds_until_a_link_on_the_way_leads_elsewhere(tmp_path):
    for place in ("one", "two"):
        (tmp_path / place / "set").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to("one")
    scope = find_scope(link / "set", tmp_path)
    assert scope.root == os.fsencode(tmp_path / "one" / "set")
    assert scope.still_holds()
    link.unlink()
    assert not scope.still_holds()
    link.symlink_to("two")
    assert not scope.still_holds()
    link.unlink()
    link.symlink_to("one")
    assert scope.still_holds()
