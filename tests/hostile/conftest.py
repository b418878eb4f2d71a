"""What hostile tests stand on: a mirror behind its real door, and who lies to it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import h11
import pytest
import trio

from nixeryd.daemon.registry import Registry
from nixeryd.images.digests import Digest
from nixeryd.store.uses import Uses
from nixeryd.upstream import RetryPolicy
from nixeryd.web.app import create_app
from nixeryd.web.hosts import Policy
from nixeryd.web.ports import ListenerKind
from tests.e2e.serving import ODD, Daemon, odd_source, serving
from tests.hostile.upstream import HostileRegistry
from tests.mirror.conftest import TTL, Clock, Setup, open_mirror, settle
from tests.upstream.fixtures import Waits
from tests.upstream.registries import make_image
from tests.web.conftest import (
    MemoryControl,
    Server,
    _serving,
    control,
    main,
    registry,
)

__all__ = ["control", "main", "registry"]

HUB = "docker.io"
KEPT = make_image("library/kept", [b"kept" * 50_000, b"small"])
IMAGE = make_image("library/new", [b"new!" * 50_000, b"", b"tiny"])


@dataclass(frozen=True)
class Blob:
    path: str
    digest: str
    body: bytes


class Target:
    """A real daemon that is offline, with one image of a few blobs."""

    def __init__(self, daemon: Daemon) -> None:
        self.port = daemon.port
        self.daemon = daemon
        manifest = daemon.manifest("curious")
        self.blobs = [
            Blob(path, descriptor["digest"], daemon.ask(path).body)
            for descriptor in (manifest.json["config"], *manifest.json["layers"])
            if descriptor["size"] < 100_000
            for path in [f"/v2/curious/blobs/{descriptor['digest']}"]
        ]
        assert len(self.blobs) > 1

    @property
    def log(self) -> str:
        return self.daemon.process.output

    @property
    def is_calm(self) -> bool:
        """Whether nothing was logged that only a defect logs."""
        return "Traceback" not in self.log


@pytest.fixture(scope="session")
def target(tmp_path_factory) -> Iterator[Target]:
    place = tmp_path_factory.mktemp("hostile")
    (place / "secret").write_bytes(b"a secret that lies beside the data directory")
    flags = (*odd_source(place), "--offline")
    with serving(place, *flags, environ=ODD) as daemon:
        yield Target(daemon)


@dataclass
class Got:
    """An answer, as far as it came."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    is_whole: bool = True


@dataclass
class Site:
    """A mirror with KEPT in it, its mirror door, and its one upstream."""

    registry: HostileRegistry
    setup: Setup
    listener: Server
    waits: Waits

    async def get(self, path: str, **headers: str):
        return await self.listener.get(path, **headers)

    async def fetch(self, path: str, **headers: str) -> Got:
        """Ask for what may break off."""
        async with await self.listener.connect() as client:
            await client.ask("GET", path, **headers)
            head = await client.head()
            got = Got(
                head.status_code, {k.decode(): v.decode() for k, v in head.headers}
            )
            try:
                while not isinstance(event := await client.event(), h11.EndOfMessage):
                    got.body += event.data
            except (h11.RemoteProtocolError, trio.BrokenResourceError):
                got.is_whole = False
            return got

    async def is_well(self) -> None:
        """Check what must hold whatever the upstream did."""
        await settle(self.setup)
        assert self.setup.staged == []
        for path in self.setup.places.blobs.rglob("*"):
            assert path.is_dir() or Digest.of(path.read_bytes()).hex == path.name
        for blob in (KEPT.config, *KEPT.layers):
            digest = Digest.of(blob)
            answer = await self.get(f"/v2/library/kept/blobs/{digest}")
            assert (answer.status, answer.body) == (200, blob)
        answer = await self.get(f"/v2/library/kept/manifests/{KEPT.digest}")
        assert (answer.status, answer.body) == (200, KEPT.manifest)


@asynccontextmanager
async def open_site(root) -> AsyncIterator[Site]:
    """Open one, and pull KEPT."""
    registry = HostileRegistry({"1": KEPT})
    async with trio.open_nursery() as nursery:
        await nursery.start(registry.run)
        waits = Waits()
        retry_policy = RetryPolicy(sleep=waits, jitter=lambda: 1.0)
        urls = {HUB: registry.url}
        async with open_mirror(root / "data", urls, retry_policy, Clock()) as setup:
            served = Registry(
                None,  # nobody asks for a build here
                setup.mirror,
                Uses(setup.index, setup.blobs.leases),
                own_hosts=(),
                nix_prefixes=("nix",),
            )
            app = create_app(served, MemoryControl(root), ListenerKind.MIRROR, Policy())
            async with _serving(app) as listener:
                site = Site(registry, setup, listener, waits)
                assert (await site.get("/v2/library/kept/manifests/1")).status == 200
                for blob in (KEPT.config, *KEPT.layers):
                    path = f"/v2/library/kept/blobs/{Digest.of(blob)}"
                    assert (await site.get(path)).body == blob
                await settle(setup)
                setup.clock.now += TTL + 1
                registry.images["new"] = registry.images["latest"] = IMAGE
                yield site
        nursery.cancel_scope.cancel()


@pytest.fixture
async def site(tmp_path, caplog) -> AsyncIterator[Site]:
    async with open_site(tmp_path) as site:
        yield site
    assert no_defect(caplog)


def no_defect(caplog) -> bool:
    """Tell that nothing was logged that only a defect logs."""
    return not [record for record in caplog.records if record.exc_info]
