import pytest

from nixeryd.nix.ranking import Match, image_name, search

NAMES = [
    "git",
    "git-lfs",
    "gitea",
    "legit",
    "tig",
    "lazygit",
    "haskellPackages.git",
    "python3Packages.gitpython",
    "_1password",
    "Xorg",
    "xorg",
    "ImageMagick",
    "__splicedPackages",
    "gtk+git",
]


def names(query, limit=20):
    return [match.name for match in search(NAMES, query, limit)]


def test_the_word_itself_comes_first_then_beginnings_then_the_rest():
    assert names("git") == [
        "git",
        "haskellpackages.git",
        "gitea",
        "git-lfs",
        "python3packages.gitpython",
        "legit",
        "lazygit",
    ]


def test_where_the_word_is_counts_before_how_long_the_name_is():
    attributes = ["gitA.zz", "xgit", "x_git-a", "x.x.git", "gits", "b.git-b-c-d"]
    found = search([*attributes, "xxxx-git", "a.long-git"], "git", 20)
    assert [match.name for match in found] == [
        "x.x.git",  # the word itself
        "gits",  # begins with it
        "b.git-b-c-d",
        "x_git-a",  # a part begins with it
        "xxxx-git",
        "a.long-git",
        "xgit",  # within
        "gita.zz",  # in the name of the set alone
    ]


def test_only_the_best_are_given():
    assert names("git", limit=2) == ["git", "haskellpackages.git"]


def test_all_words_must_be_in_it():
    assert names("python git") == ["python3packages.gitpython"]
    assert names("GIT lfs") == ["git-lfs"]
    assert names("") == names("   ") == []


def test_names_are_spelled_as_in_an_image_and_attributes_as_in_nix():
    assert search(NAMES, "password", 5) == [Match("1password", "_1password")]
    assert search(NAMES, "imagemagick", 5) == [Match("imagemagick", "ImageMagick")]


def test_of_names_that_differ_in_case_only_the_exact_one_is_meant():
    assert search(NAMES, "xorg", 5) == [Match("xorg", "xorg")]
    assert search(reversed(NAMES), "xorg", 5) == [Match("xorg", "xorg")]


@pytest.mark.parametrize("attribute", ["__spliced", "gtk+", "a-", "_x", "a b", ""])
def test_what_no_image_can_name_has_no_name(attribute):
    assert image_name(attribute) is None
