"""Other sources while the daemon serves: what stays as it was is not opened again."""

from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from nixeryd.config.settings import Settings, Source
from nixeryd.images.errors import NixerydError
from nixeryd.sources.opening import open_changing_sources


def settings(default: str = "", **paths) -> Settings:
    sources = {name: Source(path=str(path)) for name, path in paths.items()}
    return Settings(source=default, sources=sources)


@pytest.fixture
def sets(tmp_path):
    """Two package sets, in directories of their own."""
    made = [tmp_path / name for name in ("one", "two")]
    for directory in made:
        directory.mkdir()
        (directory / "default.nix").write_text("_: { }\n")
    return made


@asynccontextmanager
async def opened_as(said: Settings, nix, data):
    data.mkdir()
    async with (
        trio.open_nursery() as nursery,
        open_changing_sources(said, nix, data, nursery) as opened,
    ):
        yield opened
        nursery.cancel_scope.cancel()


async def test_what_is_as_it_was_stays_open(nix, sets, tmp_path):
    one, two = sets
    async with opened_as(settings(a=one, b=two), nix, tmp_path / "data") as opened:
        a, b = opened.sources
        await a.checkout.wait_opened()
        change = await opened.prepare(settings("c", a=one, c=two))
        assert list(opened.sources) == [a, b], "nothing has changed yet"
        change()
        same, c = opened.sources
        assert same is a
        assert opened.sources.default is c
        assert await a.checkout.fingerprint() is not None


async def test_one_that_is_replaced_is_watched_no_more(nix, sets, tmp_path):
    """Who builds from it goes on, and is told that changes are not seen any more."""
    one, two = sets
    async with opened_as(settings(a=one), nix, tmp_path / "data") as opened:
        (before,) = opened.sources
        await before.checkout.wait_opened()
        (await opened.prepare(settings(a=two)))()
        await wait_all_tasks_blocked()
        with trio.fail_after(20):
            while await before.checkout.fingerprint() is not None:
                await trio.lowlevel.checkpoint()
        (after,) = opened.sources
        assert after.place == str(two)


async def test_one_that_is_not_there_leaves_all_as_it_was(nix, sets, tmp_path):
    one, two = sets
    async with opened_as(settings(a=one), nix, tmp_path / "data") as opened:
        (a,) = opened.sources
        with pytest.raises(NixerydError, match="does not exist"):
            await opened.prepare(settings(a=one, b=two, c=tmp_path / "nowhere"))
        assert list(opened.sources) == [a]
        await a.checkout.wait_opened()
        assert await a.checkout.fingerprint() is not None
