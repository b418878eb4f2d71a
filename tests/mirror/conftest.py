"""A mirror in front of a real registry that misbehaves on demand."""

import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from nixeryd.images.digests import Digest
from nixeryd.images.routes import Upstream as Route
from nixeryd.mirror.mirror import Mirror
from nixeryd.mirror.sources import Upstreams
from nixeryd.runtime.offline import Offline
from nixeryd.store.blobs import Blobs
from nixeryd.store.datadir import DataDir, open_data_dir
from nixeryd.store.index import Index, open_index
from nixeryd.store.mirrored import UpstreamRepository
from nixeryd.upstream import RetryPolicy, open_upstream
from tests.upstream.faults import FaultServer
from tests.upstream.fixtures import (
    IMAGE,
    elsewhere,
    faults,
    gated,
    private_registry,
    realm,
    registry,
    retry_policy,
    waits,
)
from tests.upstream.registries import Image, make_image
from tests.web.conftest import serving

__all__ = [
    "elsewhere",
    "faults",
    "gated",
    "private_registry",
    "realm",
    "registry",
    "retry_policy",
    "serving",
    "waits",
]

HOST = "hub.test"
ROUTE = Route(HOST, IMAGE.repository)
PLACE = UpstreamRepository(HOST, IMAGE.repository)
LAYER = IMAGE.layers[0]
LAYER_DIGEST = Digest.of(LAYER)
TTL = 60.0
HANG = 20  # seconds after which a test that should not wait is given up


@dataclass
class Clock:
    """The wall clock of a mirror."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Setup:
    """A mirror and what it stands on."""

    mirror: Mirror
    blobs: Blobs
    index: Index
    places: DataDir
    nursery: trio.Nursery
    clock: Clock = field(default_factory=Clock)

    @property
    def files(self) -> set[str]:
        """The names of all blobs that are in the store."""
        return {path.name for path in self.places.blobs.rglob("*") if path.is_file()}

    @property
    def staged(self) -> list[Path]:
        return list(self.places.staging.iterdir())


@asynccontextmanager
async def open_mirror(
    root: Path,
    urls: dict[str, str],
    retry_policy: RetryPolicy,
    clock: Clock,
    offline: Offline | None = None,
) -> AsyncIterator[Setup]:
    """Start a mirror as the daemon does, in a nursery of its own."""
    async with AsyncExitStack() as stack:
        places = stack.enter_context(open_data_dir(root))
        index = stack.enter_context(open_index(places.index))
        clients = {
            host: await stack.enter_async_context(
                open_upstream(host, url, retry_policy=retry_policy)
            )
            for host, url in urls.items()
        }
        blobs = Blobs(places.blobs, places.staging, index.blob_size)
        async with trio.open_nursery() as nursery:
            mirror = Mirror(
                Upstreams(clients, "nixeryd-test"),
                blobs,
                index,
                nursery,
                ttl=TTL,
                resuming=retry_policy,
                now=clock,
                offline=offline or Offline(has_network=lambda: True),
            )
            yield Setup(mirror, blobs, index, places, nursery, clock)
            nursery.cancel_scope.cancel()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def setup(tmp_path, faults, retry_policy, clock) -> AsyncIterator[Setup]:
    async with open_mirror(
        tmp_path / "data", {HOST: faults.url}, retry_policy, clock
    ) as made:
        yield made


@pytest.fixture
def mirror(setup) -> Mirror:
    return setup.mirror


async def read(blob, part: range | None = None) -> bytes:
    """Read a blob as the web layer does."""
    got = bytearray()
    async with blob.open(range(blob.size) if part is None else part) as stream:
        await read_on(stream, got)
    return bytes(got)


async def read_some(stream) -> bytes:
    """Read what comes next."""
    part = await stream.arrive()
    return os.pread(stream.fd, len(part), part.start)


async def read_on(stream, got: bytearray) -> None:
    """Read a stream to its end."""
    with trio.fail_after(HANG):
        while chunk := await read_some(stream):
            got += chunk


async def settle(setup: Setup) -> None:
    """Wait until no download is under way."""
    with trio.fail_after(HANG):
        while running := setup.mirror.downloads.running():
            await running[0].wait_for_news()


_random = random.Random(11)


def new_image(registry, repository: str, *tags: str, size: int = 1000) -> Image:
    """Push an image that nobody has seen before."""
    image = make_image(repository, [_random.randbytes(size)])
    registry.push(image, *tags)
    return image


def requests(server: FaultServer, pattern: str = "") -> list[str]:
    """List what was asked, in short: METHOD and what follows the repository."""
    return [
        f"{asked.method} {asked.target.rpartition('/')[2]}"
        for asked in server.asked(pattern)
    ]
