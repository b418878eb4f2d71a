"""Overload: whoever crowds, the others are answered, and nothing is left of it."""

import random
import re
import resource
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio

from tests.e2e.command import Command
from tests.e2e.conftest import need
from tests.e2e.registry import MANIFEST_TYPE
from tests.e2e.serving import Daemon
from tests.torture.crowd import HALF_OPEN, LEFT, flood, no_such_names, open_crowd
from tests.torture.flood import BUILDS, CHILDREN, MOST, few_builds, pour
from tests.torture.gauges import count_children, leaks, memory_of, take, take_when


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    need("nix-instantiate")
    with tempfile.TemporaryDirectory() as place, few_builds(Path(place)) as daemon:
        yield daemon


@pytest.fixture
async def ask(daemon) -> AsyncIterator[httpx.AsyncClient]:
    """Another client than those that crowd."""
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{daemon.port}",
        trust_env=False,
        timeout=60,
        headers={"accept": MANIFEST_TYPE, "user-agent": "docker/29"},
    ) as client:
        yield client


@pytest.fixture(autouse=True)
async def nothing_leaks(daemon):
    """Count before and after each test what the daemon has."""
    before = await trio.to_thread.run_sync(take, daemon)
    yield
    after = await take_when(daemon, lambda taken: not leaks(before, taken))
    assert leaks(before, after) == []
    assert after.memory < before.memory + MOST


async def get(ask: httpx.AsyncClient, name: str) -> None:
    answer = await ask.get(f"/v2/{name}/manifests/latest")
    assert answer.status_code == 200, answer.text


async def big_blob(ask: httpx.AsyncClient) -> str:
    manifest = (await ask.get("/v2/big/manifests/latest")).json()
    layer = max(manifest["layers"], key=lambda one: one["size"])
    return f"/v2/big/blobs/{layer['digest']}"


async def test_a_daemon_gets_itself_enough_files(daemon):
    soft, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
    assert 256 < soft <= hard


async def test_five_hundred_clients_at_once_are_served(daemon):
    answers = await flood(daemon.port, ["n1"] * 1000, at_once=500)
    assert answers == {200: 1000}


async def test_slow_readers_of_a_blob_are_in_nobodys_way(daemon, ask):
    path = await big_blob(ask)
    before = memory_of(daemon.process.pid)
    async with open_crowd(daemon) as crowd:
        await crowd.slow_readers(path, 300)
        await get(ask, "n1")
        await get(ask, "n2")  # has to be built
        whole = await ask.get(path)
        assert len(whole.content) > 32_000_000
        assert memory_of(daemon.process.pid) < before + MOST


async def test_half_open_connections_keep_nobody_out(daemon, ask):
    """More of them than a daemon lets in."""
    async with open_crowd(daemon) as crowd:
        for kind in HALF_OPEN:
            await crowd.half_open(kind, 220)
        await get(ask, "n1")
        # Nobody has to be let in for the owner.
        status = await trio.to_thread.run_sync(Command(daemon.data), "status")
        assert status.returncode == 0, status


async def test_a_flood_of_names_is_in_nobody_elses_way(daemon, ask):
    most, answers = 0, Counter()

    async def count():
        nonlocal most
        while True:
            most = max(most, count_children(daemon.process.pid))
            await trio.sleep(0.01)

    names = no_such_names(random.Random(1), 2000)
    at_once = 120
    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        nursery.start_soon(partial(flood, daemon.port, names, answers, at_once=at_once))
        await trio.to_thread.run_sync(wait_for_queue, daemon, at_once - BUILDS)
        queue = await trio.to_thread.run_sync(Command(daemon.data).done, "status")
        assert re.search(r"queued +\d+ for up to .*no-such-.* and \d+ more", queue)
        await get(ask, "n1")
        before = answers.total()
        await get(ask, "n3")  # has to be built
        # All of them had asked before.
        assert answers.total() - before < at_once
        nursery.cancel_scope.cancel()
    assert set(answers) == {404}
    assert 1 <= most <= CHILDREN
    assert not list((daemon.data / "failures").iterdir())
    assert len(list((daemon.data / "logs").iterdir())) < 10


async def test_who_does_not_wait_for_an_answer_leaves_nothing_behind(daemon):
    """As `make flood` does it with 10,000 names in a minute."""
    found = await pour(daemon, 100, at_once=50, seconds=0.5)
    assert found.wrong == [], found.snapshot()
    assert found.answers[LEFT] > 0


def wait_for_queue(daemon: Daemon, count: int) -> None:
    def is_long() -> bool:
        builds = daemon.ask("/api/v1/status").json["builds"]
        return sum(build["queued"] for build in builds) >= count

    daemon.process.wait_until(is_long)
