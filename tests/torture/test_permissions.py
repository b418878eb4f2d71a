"""A data directory whose permissions go in mid-life: errors, and nothing is lost.

Root may do anything, so the daemon is started without that right: then it may do what
the owner of its files may, as any other user.
"""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from tests.e2e.conftest import need
from tests.e2e.serving import Daemon
from tests.torture.invariants import broken, left_over
from tests.torture.ledger import Ledger
from tests.torture.traffic import Broken, Clients
from tests.torture.world import open_world, serving

UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
HERE = ("n1", "quay.io/owner/app0")
NEW = ("n2", "quay.io/owner/app1")
DENIED = "Permission denied"


@pytest.fixture
async def daemon(tmp_path) -> AsyncIterator[Daemon]:
    need("nix-instantiate", "docker-registry", "setpriv")
    async with open_world(tmp_path, 3) as world:
        world.lies.on = False
        if os.geteuid() == 0:
            world.prefix = UNPRIVILEGED
        async with serving(world) as daemon:
            yield daemon


@contextmanager
def permitted(mode: int, *places: Path) -> Iterator[None]:
    """Let the owner of these do no more than that."""
    before = [(place, place.stat().st_mode) for place in places]
    for place in places:
        place.chmod(mode)
    try:
        yield
    finally:
        for place, old in before:
            place.chmod(old)


async def all_refused(clients: Clients, names: tuple[str, ...], why: str) -> None:
    for name in names:
        with pytest.raises(Broken, match=f"40[34].*{why}"):
            await clients.pull(name)


async def command(daemon: Daemon, *words: str) -> tuple[int, str]:
    done = await trio.to_thread.run_sync(daemon.command, *words)
    return done.returncode, done.stdout


async def test_permissions_that_go_are_errors_that_pass(daemon):
    ledger = Ledger()
    data = daemon.data
    shards = [*data.glob("blobs/sha256/??")]
    async with Clients(daemon, ledger) as clients:
        for name in HERE:
            await clients.pull(name)
        daemon.process.wait_until(lambda: not left_over(data))
        # Nothing can be written, in three ways.
        for places in ([data / "staging"], [data / "blobs" / "sha256", *shards]):
            with permitted(0o500, *places):
                for name in HERE:
                    await clients.pull(name)
                await all_refused(clients, NEW, f"cannot be written .{DENIED}")
                code, said = await command(daemon, "gc", "--max-size=1")
                assert code == 1
                assert f"{DENIED}; mend its permissions" in said
        with permitted(0o500, data, data / "logs", data / "failures"):
            for name in HERE:
                await clients.pull(name)
            await all_refused(clients, ("breaks",), "exit code 3")
        # Nothing can be read.
        with permitted(0, data / "blobs"):
            await all_refused(clients, (*HERE, *NEW), DENIED)
            for path in ("/cache", "/api/v1/images"):
                answer = await clients.get(path)
                assert answer.status_code == 403, answer.text
                assert DENIED in answer.text
            for words in (("gc", "--max-size=1"), ("rm", "n1"), ("verify",)):
                code, said = await command(daemon, *words)
                assert code == 1
                assert DENIED in said
        # Files cannot be read; to mend that removes nothing.
        with permitted(0, *data.glob("blobs/sha256/??/*")):
            await all_refused(clients, HERE, DENIED)
            code, said = await command(daemon, "verify", "--repair")
            assert code == 1
            assert f"cannot be read: {DENIED}" in said
            assert "what may not be read stays" in said
        code, said = await command(daemon, "verify")
        assert (code, "all as they should be" in said) == (0, True), said
        for name in (*HERE, *NEW):
            await clients.pull(name)
        daemon.process.wait_until(lambda: not left_over(data))
    assert (ledger.losses, list(broken(data))) == ([], [])
