import pytest

from nixeryd.nix.hints import explain_missing, nearest

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


MANY = [f"package{number}" for number in range(30)]


@pytest.mark.parametrize(
    ("name", "siblings", "nested", "hint"),
    [
        ("helo", [*MANY, "hello"], [], "; did you mean hello?"),
        (
            "requests",
            [*MANY, "python3Packages"],
            ["python3Packages.requests", "perlPackages.Requests"],
            "; did you mean python3packages.requests or perlpackages.requests?",
        ),
        (
            "reqests",
            MANY,
            ["python3Packages.requests"],
            "; did you mean python3packages.requests?",
        ),
        ("zzz", ["bash", "nano", "_7zz"], [], "; the set has bash, nano"),
        ("zzz", MANY, [], ""),
        ("zzz", [], [], ""),
        (
            "shell",
            MANY,
            [],
            "; as it is no package but an option, it comes first: shell/…",
        ),
    ],
)
def test_a_missing_package_is_explained(name, siblings, nested, hint):
    message = explain_missing(name, [], siblings, nested)
    assert message == f"there is no package {name}{hint}"
