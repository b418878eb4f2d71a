"""What an evaluation read, as Nix and the builtins of told.nix tell it."""

import json
import subprocess

import pytest

from nixeryd.nix.evaluate import EvaluationFailed, evaluate
from nixeryd.nix.packageset import PackageSet
from nixeryd.nix.reads import Reads

SYSTEM = "x86_64-linux"


def commit(directory):
    """Make a repository of a directory."""
    git = ["git", "-C", directory, "-c", "user.name=a", "-c", "user.email=a@localhost"]
    for words in (
        ["init", "-qb", "main"],
        ["add", "."],
        ["commit", "-qm", "x", "--allow-empty"],
    ):
        subprocess.run([*git, *words], check=True)


@pytest.fixture
def read(nix, tmp_path):
    """Evaluate a package whose salt is an expression; return what that read."""
    source = tmp_path / "source"
    source.mkdir()

    async def read(expression, arguments="{ system }"):
        (source / "default.nix").write_text(
            f'{arguments}: {{ p = derivation {{ name = "p"; system = "{SYSTEM}";'
            f' builder = "/bin/sh"; salt = builtins.toJSON ({expression}); }}; }}'
        )
        reads = Reads()
        found = PackageSet(source, inside=(str(source),))
        await evaluate(nix, found, ["p"], SYSTEM, reads=reads)
        return reads

    read.source = source
    read.outside = tmp_path / "outside"
    read.outside.mkdir()
    (read.outside / "default.nix").write_text("7")
    (read.outside / "word").write_text("word")
    return read


TOLD = {
    "import ../outside": ("file", "/default.nix"),
    "import (../outside + ''/default.nix'')": ("file", "/default.nix"),
    "import OUTSIDE": ("file", "/default.nix"),
    "import <here>": ("file", "/default.nix"),
    "builtins.import ../outside": ("file", "/default.nix"),
    "with builtins; import ../outside": ("file", "/default.nix"),
    "map import [ ../outside ]": ("file", "/default.nix"),
    "scopedImport { } ../outside": ("file", ""),
    "builtins.scopedImport { } ../outside": ("file", ""),
    "builtins.readFile ../outside/word": ("file", "/word"),
    "builtins.readFile ''OUTSIDE/../outside/word''": ("file", "/../outside/word"),
    "builtins.builtins.readFile ../outside/word": ("file", "/word"),
    "(builtins.getAttr ''readFile'' builtins) ../outside/word": ("file", "/word"),
    "__readFile ../outside/word": ("file", "/word"),
    "builtins.hashFile ''sha256'' ../outside/word": ("file", "/word"),
    "builtins.readDir ../outside": ("directory", ""),
    "builtins.pathExists ../outside/none": ("status", "/none"),
    "builtins.path { path = ../outside; name = ''x''; }": ("tree", ""),
    "builtins.filterSource (_: _: true) ../outside": ("tree", ""),
    "''${../outside}''": ("tree", ""),
    "''${../outside/word}''": ("tree", "/word"),
    "<here>": ("status", ""),
    "builtins.findFile [ { path = ../outside; prefix = ''a''; } ] ''a/word''": (
        "status",
        "/word",
    ),
    "builtins.fetchurl ''file://OUTSIDE/word''": ("file", "/word"),
    "scopedImport { } (builtins.toFile ''x'' ''import OUTSIDE'')": (
        "file",
        "/default.nix",
    ),
}


@pytest.mark.parametrize("expression", TOLD)
async def test_what_is_read_outside_is_told(read, monkeypatch, expression):
    monkeypatch.setenv("NIX_PATH", f"here={read.outside}")
    kind, path = TOLD[expression]
    written = expression.replace("OUTSIDE", str(read.outside)).replace("''", '"')
    reads = await read(written.replace("''", '"'))
    assert (kind, f"{read.outside}{path}") in reads.paths
    assert reads.unknown is None


async def test_what_is_inside_is_not_told(read):
    (read.source / "data").write_text("data")
    (read.source / "more.nix").write_text("3")
    reads = await read(
        "[ (builtins.readFile ./data) (import ./more.nix) (builtins.readDir ./.)"
        ' (builtins.pathExists ./none) "${./data}" ]'
    )
    assert reads == Reads(source=str(read.source))


async def test_a_link_inside_that_leads_outside_is_told(read):
    (read.source / "link").symlink_to(read.outside)
    reads = await read("builtins.readFile ./link/word")
    assert reads.paths == {("file", f"{read.source}/link/word")}


async def test_what_git_keeps_is_told(read):
    commit(read.source)
    reads = await read("builtins.readFile ./.git/HEAD")
    assert reads.paths == {("file", f"{read.source}/.git/HEAD")}


async def test_a_search_depends_on_channels_that_may_come(read, monkeypatch):
    """Nix leaves out of its search path what is not there when it starts."""
    home = read.outside / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    reads = await read("(builtins.tryEval <nowhere>).success")
    assert ("status", f"{home}/.nix-defexpr/channels") in reads.paths


async def test_variables_are_told_by_name(read, monkeypatch):
    monkeypatch.setenv("NIXERYD_TEST_WORD", "word")
    reads = await read('builtins.getEnv "NIXERYD_TEST_WORD"')
    assert reads.variables == {"NIXERYD_TEST_WORD"}


UNKNOWN = {
    "builtins.currentTime": "currentTime",
    'builtins.fetchGit { url = OUTSIDE; ref = "main"; }': "fetchGit",
}


@pytest.mark.parametrize("expression", UNKNOWN)
async def test_what_may_be_another_at_any_time_is_unknown(read, expression):
    commit(read.outside)
    reads = await read(expression.replace("OUTSIDE", str(read.outside)))
    assert UNKNOWN[expression] in reads.unknown


async def test_a_local_repository_is_told(read):
    commit(read.outside)
    reads = await read(f"(builtins.fetchGit {read.outside}).outPath")
    assert reads.paths == {("work tree", str(read.outside))}
    assert reads.unknown is None


async def test_what_a_derivation_made_is_followed(read):
    made = (
        'import (derivation { name = "made"; system = "SYSTEM"; builder = "/bin/sh";'
        ' args = [ "-euc" "echo import OUTSIDE > $out" ]; })'
    )
    reads = await read(
        made.replace("OUTSIDE", str(read.outside)).replace("SYSTEM", SYSTEM)
    )
    assert reads.paths == {("file", f"{read.outside}/default.nix")}


async def test_what_nix_brings_along_is_followed(read):
    """nixpkgs imports it; it is part of Nix and in no directory."""
    reads = await read(
        "builtins.attrNames (import <nix/fetchurl.nix>"
        ' { url = "http://a"; sha256 = ""; })'
    )
    assert reads.unknown is None
    # Where it would be looked for, and nothing else.
    assert {kind for kind, _ in reads.paths} <= {"status"}


async def test_a_failure_tells_what_it_read(nix, read):
    with pytest.raises(EvaluationFailed):
        await read("throw (builtins.readFile ../outside/word)")
    reads = Reads()
    found = PackageSet(read.source, inside=(str(read.source),))
    with pytest.raises(EvaluationFailed, match="word"):
        await evaluate(nix, found, ["p"], SYSTEM, reads=reads)
    assert reads.paths == {("file", f"{read.outside}/word")}
    assert reads.unknown is None


async def test_the_answer_is_that_of_plain_nix(nix, read):
    """And a file is evaluated once: functions that are equal stay equal."""
    (read.source / "set.nix").write_text("{ f = x: x; g = { }; }")
    (read.source / "deep").mkdir()
    (read.source / "deep" / "default.nix").write_text("(import ../set.nix)")
    expression = (
        "let builtins' = builtins; lib = with builtins'; { inherit readFile; }; in"
        " [ (import ./deep == import ./set.nix) (import ./deep == import"
        " ./deep/default.nix) (builtins.length (builtins.attrNames builtins))"
        " (builtins.typeOf import) (lib.readFile ./set.nix) ]"
    )
    await read(expression)
    plain = f"(import {read.source}/default.nix {{ system = null; }}).p.salt"
    said = await nix.run(
        ["nix-instantiate", "--eval", "--strict", "--json", "-E", plain]
    )
    found = PackageSet(read.source, inside=(str(read.source),))
    evaluation = await evaluate(nix, found, ["p"], SYSTEM)
    derivation = await nix.run(
        ["nix-store", "--query", "--binding", "salt", evaluation.packages[0].drv_path]
    )
    assert json.loads(said) == derivation.decode().rstrip("\n")
