"""A disk that is full or takes nothing: errors that say so, and nothing is lost."""

import os
import resource
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trio

from tests.e2e.conftest import need
from tests.torture.gauges import count_files
from tests.torture.invariants import broken, left_over
from tests.torture.ledger import Ledger
from tests.torture.traffic import Broken, Clients
from tests.torture.world import World, open_world, serving

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="mounting a small tmpfs needs root"
)


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[None]:
    place.mkdir()
    mount("-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", place)
    try:
        yield
    finally:
        unmount(place)


def mount(*words: str | Path) -> None:
    subprocess.run(["mount", *words], check=True)


def unmount(place: Path) -> None:
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
async def world(tmp_path) -> AsyncIterator[World]:
    need("nix-instantiate", "docker-registry")
    async with open_world(tmp_path, 2) as world:
        world.lies.on = False
        with small_disk(tmp_path / "data", "6m"):
            yield world


def fill(place: Path) -> Path:
    """Leave not a byte to anybody else."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler


async def refused(clients: Clients, name: str, why: str) -> None:
    with pytest.raises(Broken, match=why):
        await clients.pull(name)


async def test_a_full_disk_loses_nothing_and_room_can_be_made(world):
    ledger = Ledger()
    async with serving(world) as daemon, Clients(daemon, ledger) as clients:
        for name in ("n1", "quay.io/owner/app0"):
            await clients.pull(name)
        filler = fill(daemon.data)
        for name in ("n1", "quay.io/owner/app0"):
            await clients.pull(name)
        await refused(clients, "n2", "403.*no space left.*make room")
        await refused(clients, "quay.io/owner/app1", "403.*no space left.*make room")
        assert left_over(daemon.data) == frozenset()
    # Another start, as full as it was; then the user makes room.
    async with serving(world) as daemon, Clients(daemon, ledger) as clients:
        for name in ("n1", "quay.io/owner/app0"):
            await clients.pull(name)
        filler.unlink()
        for name in ("n2", "quay.io/owner/app1"):
            await clients.pull(name)
    assert (ledger.losses, list(broken(daemon.data))) == ([], [])


async def test_a_disk_that_is_full_of_others_can_be_left(world):
    """The index must be written to forget what goes."""
    ledger = Ledger()
    async with serving(world) as daemon, Clients(daemon, ledger) as clients:
        await clients.pull("quay.io/owner/app0")
        await clients.pull("quay.io/owner/app1")
    world.configure(cap="1KB")
    fill(daemon.data)
    async with serving(world) as daemon:
        line = await trio.to_thread.run_sync(
            daemon.process.wait_for_line, r"evicted .*freed"
        )
        assert line
    assert list(broken(daemon.data)) == []


async def test_a_disk_that_becomes_read_only_still_serves(world):
    ledger = Ledger()
    async with serving(world) as daemon, Clients(daemon, ledger) as clients:
        for name in ("n1", "quay.io/owner/app0"):
            await clients.pull(name)
        # Only where no file is open for writing can this be done to a mount.
        staging = daemon.data / "staging"
        mount("--bind", staging, staging)
        mount("-o", "remount,bind,ro", staging)
        try:
            for name in ("n1", "quay.io/owner/app0"):
                await clients.pull(name)
            await refused(
                clients, "n2", "403.*cannot be written .Read-only file system"
            )
            await refused(
                clients, "quay.io/owner/app1", "403.*cannot be written .Read-only"
            )
        finally:
            unmount(staging)
        await clients.pull("n2")
        await clients.pull("quay.io/owner/app1")
    assert (ledger.losses, list(broken(daemon.data))) == ([], [])


async def test_too_few_file_descriptors_are_an_error_that_passes(world):
    ledger = Ledger()
    async with serving(world) as daemon, Clients(daemon, ledger) as clients:
        await clients.pull("n1")
        used = count_files(daemon.process.pid)
        before = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
        few = (used + 2, before[1])
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, few)
        await refused(clients, "n2", "(403|429).*[Tt]oo many open files")
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, before)
        await clients.pull("n1")
        await clients.pull("n2")
    assert ledger.losses == []
