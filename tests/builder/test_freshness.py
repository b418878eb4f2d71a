"""Warm pulls cost nothing and are never stale."""

from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from nixeryd.builder import progress as events
from nixeryd.images.errors import RegistryError
from nixeryd.images.served_manifests import Patience, StillBuilding
from tests.builder.conftest import open_builder

WORD = 'word = make "word" "echo {} >> ${{ran}}; echo {} > $out";'


@pytest.fixture
def checkout(write_set, tmp_path):
    """A source directory; `write(word)` makes the package give that word."""
    directory = tmp_path / "checkout"
    directory.mkdir()

    def write(word, salt="salt"):
        text = write_set(WORD.format(word, word), f"{tmp_path}{salt}").read_text()
        (directory / "default.nix").write_text(text)

    write("one")
    write.directory = directory
    return write


def break_nix(builder):
    """Let every Nix process fail from now on; gives what mends it."""
    image_builder = builder._workshop
    whole = image_builder._nix
    image_builder._nix = replace(whole, directory=Path("/nowhere"))
    return lambda: setattr(image_builder, "_nix", whole)


async def test_an_unchanged_source_needs_no_process(nix, checkout, tmp_path):
    data = tmp_path / "data"
    async with open_builder(nix, checkout.directory, data, watch=True) as builder:
        first = await builder.manifest(("word",), "latest")
        break_nix(builder)
        assert await builder.manifest(("word",), "latest") == first
        async with builder.pull(("word",), "latest") as channel:
            (told,) = [event async for event in channel]
        assert told.cached
        assert told.digest == str(first.digest)
    async with open_builder(nix, checkout.directory, data, watch=True) as builder:
        break_nix(builder)
        assert await builder.manifest(("word",), "latest") == first


async def test_an_edit_is_seen_and_a_revert_costs_nothing(nix, checkout, tmp_path):
    async with open_builder(
        nix, checkout.directory, tmp_path / "data", watch=True
    ) as builder:
        first = await builder.manifest(("word",), "latest")
        checkout("two")
        second = await builder.manifest(("word",), "latest")
        assert second != first
        checkout("one")
        break_nix(builder)
        assert await builder.manifest(("word",), "latest") == first


async def test_a_change_that_matters_not_packs_nothing(nix, checkout, tmp_path):
    async with open_builder(
        nix, checkout.directory, tmp_path / "data", watch=True
    ) as builder:
        first = await builder.manifest(("word",), "latest")
        (checkout.directory / "unrelated.nix").write_text("{ }")
        async with builder.pull(("word",), "latest") as channel:
            told = [event async for event in channel]
        assert told[-1].digest == str(first.digest)
        assert told[-1].cached
        assert not [event for event in told if isinstance(event, events.LayerDone)]


async def test_a_manifest_that_is_used_again_cannot_go_before_that_is_written(
    nix, checkout, tmp_path
):
    """Or a collection in between would leave a row without its blobs."""
    data = tmp_path / "data"
    async with open_builder(nix, checkout.directory, data, watch=True) as builder:
        first = await builder.manifest(("word",), "latest")
        (checkout.directory / "unrelated").write_text("")
        index, leases, held = builder._index, builder._blobs.leases, []

        def add_build(key, manifest, read=None):
            held.append(manifest.digest in leases.of_builds())
            type(index).add_build(index, key, manifest, read)

        index.add_build = add_build
        assert await builder.manifest(("word",), "latest") == first
    assert held == [True]


async def test_a_failure_does_not_outlive_the_edit_that_mends_it(
    nix, checkout, tmp_path
):
    checkout("false", salt="broken")
    text = (checkout.directory / "default.nix").read_text()
    (checkout.directory / "default.nix").write_text(
        text.replace("echo false > $out", "exit 1")
    )
    async with open_builder(
        nix, checkout.directory, tmp_path / "data", watch=True
    ) as builder:
        for _ in range(2):
            with pytest.raises(RegistryError, match="exit code 1"):
                await builder.manifest(("word",), "latest")
        assert (tmp_path / "ran").read_text() == "false\n", "tried once"
        checkout("mended")
        assert await builder.manifest(("word",), "latest")


async def test_a_pull_after_an_edit_does_not_join_the_build_before_it(
    nix, checkout, tmp_path
):
    checkout("slow")
    file = checkout.directory / "default.nix"
    gate = tmp_path / "gate"
    waits = f"while ! test -e {gate}; do :; done; echo slow"
    file.write_text(file.read_text().replace("echo slow > $out", f"{waits} > $out"))
    async with open_builder(
        nix, checkout.directory, tmp_path / "data", watch=True
    ) as builder:
        manifests = {}

        async def ask(name):
            manifests[name] = await builder.manifest(("word",), "latest")

        async with (
            trio.open_nursery() as clients,
            builder.pull(("word",), "latest") as channel,
        ):
            clients.start_soon(ask, "before")
            async for event in channel:
                if isinstance(event, events.Building):
                    break
            clients.start_soon(ask, "joined")
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert len(builder.runs()) == 1
            checkout("fast")
            await ask("after")
            gate.touch()
        assert manifests["before"] == manifests["joined"] != manifests["after"]
        # The old build ends last, and must not be what the tag points at.
        assert await builder.manifest(("word",), "latest") == manifests["after"]


async def test_without_a_watch_a_pull_after_an_edit_evaluates_anew(
    nix, checkout, tmp_path
):
    async with open_builder(nix, checkout.directory, tmp_path / "data") as builder:
        first = await builder.manifest(("word",), "latest")
        checkout("two")
        assert await builder.manifest(("word",), "latest") != first


async def test_who_cannot_wait_comes_back_with_a_ticket(nix, checkout, tmp_path):
    async with open_builder(nix, checkout.directory, tmp_path / "data") as builder:
        with pytest.raises(StillBuilding) as told:
            await builder.manifest(("word",), "latest", Patience(0))
        ticket = told.value.ticket
        (run,) = builder.runs()
        await run.flight.wait()
        checkout("two")  # the pull began before this
        first = await builder.manifest(("word",), "latest", Patience(60, ticket))
        assert (tmp_path / "ran").read_text() == "one\n"
        # Landed flights are kept: a second hop may come late.
        assert first == await builder.manifest(("word",), "latest", Patience(0, ticket))
        # A ticket that is not known (a restart) is no error.
        assert first != await builder.manifest(("word",), "latest", Patience(60, "x"))
