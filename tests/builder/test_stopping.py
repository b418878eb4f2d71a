"""A daemon that stops: who waits is sent away at once, builds end or go on."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from nixeryd.builder import progress as events
from nixeryd.images.served_manifests import Patience, StillBuilding
from nixeryd.runtime.flight import Stopping
from tests.builder.conftest import open_builder

HELD = Patience(60)


@pytest.fixture
def gated(write_set, tmp_path):
    """A package that is built once a file is there."""
    gate = tmp_path / "gate"
    script = f"while ! test -e {gate}; do :; done; echo x >> ${{ran}}; echo made > $out"
    return write_set(f'slow = make "slow" "{script}";')


async def begin(builder):
    """Wait until Nix builds; then nothing but the gate holds it up."""
    async with builder.pull(("slow",), "latest") as channel:
        async for event in channel:
            if isinstance(event, events.Building):
                return


@pytest.mark.parametrize("finish", [True, False])
async def test_who_can_come_back_is_told_to(nix, gated, tmp_path, finish):
    async with open_builder(nix, gated, tmp_path / "data") as builder:
        await begin(builder)
        told = []

        async def wait(patience, error):
            with pytest.raises(error) as raised:
                await builder.manifest(("slow",), "latest", patience)
            told.append(raised.value)

        async with trio.open_nursery() as waiters:
            waiters.start_soon(wait, HELD, StillBuilding)
            waiters.start_soon(wait, Patience(), Stopping)
            await wait_all_tasks_blocked()
            builder.stop(finish=finish)
        assert len(told) == 2
        (tmp_path / "gate").touch()


async def test_builds_end_with_it_and_tell_so(nix, gated, tmp_path):
    async with (
        open_builder(nix, gated, tmp_path / "data") as builder,
        builder.pull(("slow",), "latest") as channel,
    ):
        last = None
        async for event in channel:
            if isinstance(event, events.Building):
                builder.stop(finish=False)
            last = event
        assert isinstance(last, events.Failed)
        assert "stopping" in last.message
        assert builder.runs() == []
    assert not (tmp_path / "ran").exists()


async def test_builds_are_finished_if_so_wished(nix, gated, tmp_path):
    async with (
        open_builder(nix, gated, tmp_path / "data") as builder,
        builder.pull(("slow",), "latest") as channel,
    ):
        last = None
        async for event in channel:
            if isinstance(event, events.Building) and last is not event:
                builder.stop(finish=True)
                (tmp_path / "gate").touch()
            last = event
        assert isinstance(last, events.Done)
    assert (tmp_path / "ran").read_text() == "x\n"


async def test_nothing_is_begun_any_more(nix, gated, tmp_path):
    async with open_builder(nix, gated, tmp_path / "data") as builder:
        builder.stop(finish=True)
        with pytest.raises(Stopping):
            await builder.manifest(("slow",), "latest", HELD)
        with pytest.raises(Stopping):
            async with builder.pull(("slow",), "latest"):
                pass
