"""A source that reads files elsewhere: never stale, and no process where none changed.

The rule is in `fingerprint.outside`; what is told of reads, in tests/nix/test_told.py.
"""

import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from nixeryd.builder import progress as events
from nixeryd.images.errors import RegistryError
from nixeryd.sources.fingerprint import outside
from tests.builder.conftest import open_builder


@pytest.fixture
def wrapper(write_set, tmp_path):
    """A source that imports a set in another directory, whose package gives a word."""
    (tmp_path / "b").mkdir()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "default.nix").write_text("import ../b")

    def write(word, script="echo {} > $out"):
        packages = f'word = make "word" "echo x >> ${{ran}}; {script.format(word)}";'
        text = write_set(packages, salt=f"{tmp_path}{word}").read_text()
        (tmp_path / "b" / "default.nix").write_text(text)

    write("one")
    write.source = tmp_path / "a"
    write.place = tmp_path
    return write


def rest(place):
    """Wait until what a test has made was left alone for a moment."""
    made = (place, *place.parents, *place.rglob("*"))
    last = max(os.lstat(at).st_ctime_ns for at in made)
    while time.time_ns() <= last + outside.QUICK:
        pass


def commit(directory):
    """Make a repository of a directory."""
    git = ["git", "-C", directory, "-c", "user.name=a", "-c", "user.email=a@localhost"]
    for words in (["init", "-qb", "main"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)


def break_nix(builder):
    """Let every Nix process fail from now on."""
    image_builder = builder._workshop
    image_builder._nix = replace(image_builder._nix, directory=Path("/nowhere"))


async def test_an_edit_of_an_imported_file_elsewhere_is_seen(nix, wrapper):
    data = wrapper.place / "data"
    async with open_builder(nix, wrapper.source, data, watch=True) as builder:
        first = await builder.manifest(("word",), "latest")
        wrapper("two")
        second = await builder.manifest(("word",), "latest")
        assert second != first
    wrapper("three")
    async with open_builder(nix, wrapper.source, data, watch=True) as builder:
        third = await builder.manifest(("word",), "latest")
        assert third not in (first, second)


async def test_what_is_unchanged_elsewhere_needs_no_process(nix, wrapper):
    rest(wrapper.place)
    data = wrapper.place / "data"
    async with open_builder(nix, wrapper.source, data, watch=True) as builder:
        rest(wrapper.place / "b")
        first = await builder.manifest(("word",), "latest")
        break_nix(builder)
        assert await builder.manifest(("word",), "latest") == first
    async with open_builder(nix, wrapper.source, data, watch=True) as builder:
        break_nix(builder)
        assert await builder.manifest(("word",), "latest") == first
        wrapper("two")
        with pytest.raises(RegistryError, match="cannot be run"):
            await builder.manifest(("word",), "latest")


@pytest.mark.parametrize("way", ["NIX_PATH", "a link"])
async def test_a_channel_that_moves_is_seen(nix, wrapper, monkeypatch, way):
    """Channels are links, which <nixpkgs> and imports go through."""
    old, new = wrapper.place / "b", wrapper.place / "c"
    link = wrapper.place / "link"
    link.symlink_to(old)
    monkeypatch.setenv("NIX_PATH", f"nixpkgs={link}")
    found = "<nixpkgs>" if way == "NIX_PATH" else str(link)
    (wrapper.source / "default.nix").write_text(f"import {found}")
    new.mkdir()
    text = (old / "default.nix").read_text()
    (new / "default.nix").write_text(text.replace("echo one", "echo two"))
    async with open_builder(
        nix, wrapper.source, wrapper.place / "data", watch=True
    ) as builder:
        first = await builder.manifest(("word",), "latest")
        link.unlink()
        link.symlink_to(new)
        assert await builder.manifest(("word",), "latest") != first


async def test_a_variable_that_changes_is_seen(nix, wrapper, monkeypatch):
    (wrapper.source / "default.nix").write_text(
        'let w = builtins.getEnv "NIXERYD_TEST"; in { system }: { word = derivation {'
        ' name = "word"; inherit system w; builder = "/bin/sh";'
        ' args = [ "-c" "echo $w > $out" ]; }; }'
    )
    data, found = wrapper.place / "data", []
    for word in ("one", "two", "one"):
        monkeypatch.setenv("NIXERYD_TEST", word)
        async with open_builder(nix, wrapper.source, data, watch=True) as builder:
            found.append(await builder.manifest(("word",), "latest"))
    assert found[0] == found[2] != found[1]


async def test_what_a_commit_reads_elsewhere_is_seen(nix, wrapper):
    text = f"import {wrapper.place / 'b'}"
    (wrapper.source / "default.nix").write_text(text)
    commit(wrapper.source)
    async with open_builder(
        nix, wrapper.source, wrapper.place / "data", watch=True
    ) as builder:
        first = await builder.manifest(("word",), "main")
        wrapper("two")
        assert await builder.manifest(("word",), "main") != first


async def test_a_pull_after_an_edit_elsewhere_joins_no_build_before_it(nix, wrapper):
    gate = wrapper.place / "gate"
    waits = f"while ! test -e {gate}; do :; done; echo {{}} > $out"
    wrapper("slow", waits)
    async with open_builder(
        nix, wrapper.source, wrapper.place / "data", watch=True
    ) as builder:
        manifests = {}

        async def ask(name):
            manifests[name] = await builder.manifest(("word",), "latest")

        async with trio.open_nursery() as clients:
            clients.start_soon(ask, "before")
            async with builder.pull(("word",), "latest") as channel:
                async for event in channel:
                    if isinstance(event, events.Building):
                        break
            wrapper("fast")
            await ask("after")
            gate.touch()
        assert manifests["before"] != manifests["after"]
        assert await builder.manifest(("word",), "latest") == manifests["after"]


@pytest.mark.parametrize("what", ["evaluation", "build"])
async def test_a_failure_does_not_outlive_an_edit_elsewhere_that_mends_it(
    nix, wrapper, what
):
    wrapper("bad", "exit 1")
    broken = wrapper.place / "b" / "default.nix"
    if what == "evaluation":
        broken.write_text("{ system }: { word = throw ''exit code 1''; }")
    rest(wrapper.place)
    async with open_builder(
        nix, wrapper.source, wrapper.place / "data", watch=True
    ) as builder:
        for _ in range(2):
            with pytest.raises(RegistryError, match="exit code 1"):
                await builder.manifest(("word",), "latest")
        wrapper("mended")
        assert await builder.manifest(("word",), "latest")
    tries = "x\n" if what == "build" else ""
    assert (wrapper.place / "ran").read_text() == f"{tries}x\n", "each tried once"


async def test_what_is_unknown_is_evaluated_at_each_pull(nix, wrapper):
    (wrapper.source / "default.nix").write_text(
        "{ system }: { word = derivation { name = ''word''; inherit system;"
        " builder = ''/bin/sh''; args = [ ''-c'' ''echo > $out'' ];"
        " now = builtins.seq builtins.currentTime 1; }; }"
    )
    async with open_builder(
        nix, wrapper.source, wrapper.place / "data", watch=True
    ) as builder:
        await builder.manifest(("word",), "latest")
        break_nix(builder)
        with pytest.raises(RegistryError, match="cannot be run"):
            await builder.manifest(("word",), "latest")


async def test_fresh_evaluates_whatever_is_remembered(nix, wrapper):
    async with open_builder(
        nix, wrapper.place / "b", wrapper.place / "data", watch=True
    ) as builder:
        first = await builder.manifest(("word",), "latest")
        async with builder.pull(("word",), "latest", is_fresh=True) as channel:
            told = [event async for event in channel]
        assert told[0] == events.Phase(phase="evaluate")
        assert told[-1].digest == str(first.digest)


async def test_what_a_person_says_to_watch_is_looked_at(nix, wrapper):
    """Such as a service that a builder asks, and that nobody can see."""
    more = wrapper.place / "more"
    more.mkdir()
    rest(wrapper.place)
    async with open_builder(
        nix, wrapper.place / "b", wrapper.place / "data", watch=True, watched=[more]
    ) as builder:
        first = await builder.manifest(("word",), "latest")
        break_nix(builder)
        assert await builder.manifest(("word",), "latest") == first
        (more / "word").touch()
        with pytest.raises(RegistryError, match="cannot be run"):
            await builder.manifest(("word",), "latest")
