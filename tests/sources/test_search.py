import json

import pytest

from nixeryd.images.errors import RegistryError
from nixeryd.nix.packageset import PackageSet
from nixeryd.sources import search as search_module
from nixeryd.sources.search import Found, Search
from tests.sources.conftest import POLICY

SET = """{ system }: let
  make = name: description: derivation {
    inherit name system; builder = "/bin/sh"; args = [ "-c" "echo > $out" ];
  } // { version = "1.${name}"; meta = { inherit description; }; };
in {
  hello = make "hello" "Greets";
  hello-world = make "hello-world" "Greets all";
  helloFunction = x: x;
  hello-broken = throw "no";
  haskellPackages = { recurseForDerivations = true; hello = make "hh" "By Haskell"; };
  EXTRA
}"""


@pytest.fixture
def directory(tmp_path):
    directory = tmp_path / "nixpkgs"
    directory.mkdir()
    return directory


def write(directory, extra=""):
    (directory / "default.nix").write_text(SET.replace("EXTRA", extra))


@pytest.fixture
def evaluations(monkeypatch):
    """What Nix was asked: "list", or the names to describe."""
    asked = []
    real = PackageSet.ask

    async def noted(self, nix, file, arguments, reads):
        asked.append(json.loads(arguments["names"]) or "list")
        return await real(self, nix, file, arguments, reads)

    monkeypatch.setattr(PackageSet, "ask", noted)
    return asked


@pytest.fixture
async def open_search(nix, open_configured, directory, tmp_path):
    """Open a search of the directory; a second one is another daemon's."""
    write(directory)
    async with open_configured(f'[sources.n]\npath = "{directory}"') as sources:
        await sources.default.checkout.wait_opened()
        place = tmp_path / "search"
        yield lambda: Search(sources.default, nix, POLICY.default_system, place)


async def test_packages_are_found_with_what_is_said_of_them(open_search):
    found = await open_search().find("hello", 10, describe=True)
    assert found == [
        Found("hello", "hello", "1.hello", "Greets"),
        Found("haskellpackages.hello", "haskellPackages.hello", "1.hh", "By Haskell"),
        Found("hello-world", "hello-world", "1.hello-world", "Greets all"),
    ], "and neither functions nor what does not evaluate"


async def test_names_alone_need_no_package_evaluated(open_search, evaluations):
    found = await open_search().find("hello", 10, describe=False)
    assert [package.attribute for package in found] == [
        "hello",
        "haskellPackages.hello",
        "hello-world",
        "hello-broken",
        "helloFunction",
    ]
    assert evaluations == ["list"]


async def test_an_unchanged_source_is_listed_once_and_described_once(
    open_search, evaluations
):
    search = open_search()
    for _ in range(2):
        assert await search.find("world", 10, describe=True)
    assert evaluations == ["list", ["hello-world"]]
    assert await open_search().find("world", 10, describe=False)
    assert len(evaluations) == 2, "the next daemon reads what this one kept"


async def test_an_edit_is_seen(open_search, directory, evaluations):
    search = open_search()
    assert await search.find("newcomer", 10, describe=True) == []
    write(directory, 'newcomer = make "new" "New";')
    (found,) = await search.find("newcomer", 10, describe=True)
    assert found.description == "New"
    write(directory, 'newcomer = make "new" "Newer";')
    (found,) = await search.find("newcomer", 10, describe=True)
    assert found.description == "Newer"


async def test_one_that_breaks_off_evaluation_hides_no_other(open_search, directory):
    write(directory, 'hello-abort = abort "no"; python3Packages = abort "no";')
    found = await open_search().find("hello", 3, describe=True)
    assert [package.name for package in found] == [
        "hello",
        "haskellpackages.hello",
        "hello-abort",
    ]
    assert found[0].description == ""


async def test_a_nested_set_that_breaks_off_hides_no_other_set(open_search, directory):
    write(directory, 'python3Packages = abort "no";')
    found = await open_search().find("hello", 10, describe=False)
    assert "haskellPackages.hello" in [package.attribute for package in found]


async def test_a_source_that_does_not_evaluate_says_why(open_search, directory):
    (directory / "default.nix").write_text("{ system }: { a = ; }")
    with pytest.raises(RegistryError, match=r"does not evaluate: syntax error"):
        await open_search().find("hello", 10, describe=False)


async def test_a_broken_cache_is_none(open_search, tmp_path, evaluations):
    await open_search().find("hello", 10, describe=False)
    (tmp_path / "search" / "n.json").write_text("{")
    assert await open_search().find("hello", 10, describe=False)
    assert evaluations == ["list", "list"]


async def test_the_demo_set_can_be_searched(
    nix, open_configured, demo_source, tmp_path
):
    async with open_configured(f'[sources.demo]\npath = "{demo_source}"') as sources:
        search = Search(sources.default, nix, POLICY.default_system, tmp_path / "s")
        (found,) = await search.find("hello", 10, describe=True)
    assert found.description == "Say hello, to the world or to whom you name"
    assert search_module.NESTED
