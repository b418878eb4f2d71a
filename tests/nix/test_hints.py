import pytest

from nixeryd.nix.hints import nearest

NAMES = ["git", "gitFull", "hello", "python3", "_7zip", "haskellPackages"]


@pytest.mark.parametrize(
    ("name", "path", "siblings", "expected"),
    [
        ("helo", [], NAMES, ["hello"]),
        ("gitful", [], NAMES, ["gitfull"]),
        ("gnomeapps.maps", ["gnomeApps"], ["map"], ["gnomeapps.map"]),
        ("zzz", [], NAMES, []),
        ("helo", [], [], []),
        ("hello.more.parts", ["hello"], ["mode"], ["hello.mode"]),
    ],
)
def test_a_mistyped_name_is_guessed(name, path, siblings, expected):
    assert nearest(name, path, siblings) == expected


def test_at_most_three_are_given():
    assert len(nearest("aaaa", [], ["aaab", "aaac", "aaad", "aaae"])) == 3
