"""Fixtures of an upstream: import the ones you need into your conftest.

`registry` is a real one with IMAGE in it, shared by all tests of a session, so tests
that push use repositories of their own. `faults` stands in front of it, new for each.
"""

import random
from collections.abc import Iterator

import pytest
import trio

from nixeryd.upstream import LoginSource, RetryPolicy
from nixeryd.upstream.credentials import Login
from tests.upstream.faults import FaultServer
from tests.upstream.registries import (
    PASSWORD,
    USER,
    DebianRegistry,
    Image,
    make_image,
    run_registry,
)
from tests.upstream.tokenrealm import TokenRealm

_bytes = random.Random(5).randbytes
IMAGE: Image = make_image("library/hello", [_bytes(300_000), b"", _bytes(10)])


class Waits:
    """A sleep that only notes how long it would have taken."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await trio.lowlevel.checkpoint()


def logged_in(username=USER, password=PASSWORD, **kwargs) -> LoginSource:
    """Make a login that is always this one."""

    async def login() -> Login:
        await trio.lowlevel.checkpoint()
        return Login(username, password, **kwargs)

    return login


@pytest.fixture(scope="session")
def registry(tmp_path_factory) -> Iterator[DebianRegistry]:
    with run_registry(tmp_path_factory.mktemp("registry")) as running:
        running.push(IMAGE, "latest", "1.0")
        yield running


@pytest.fixture(scope="session")
def private_registry(tmp_path_factory) -> Iterator[DebianRegistry]:
    """One that wants USER and PASSWORD (Basic)."""
    directory = tmp_path_factory.mktemp("private-registry")
    with run_registry(directory, password=True) as running:
        running.push(IMAGE, "latest")
        yield running


@pytest.fixture
async def faults(registry, nursery) -> FaultServer:
    """In front of `registry`."""
    server = FaultServer(registry.port)
    await nursery.start(server.run)
    return server


@pytest.fixture
async def elsewhere(nursery) -> FaultServer:
    """Another origin with nothing behind it: a CDN, a storage service, an attacker."""
    server = FaultServer()
    await nursery.start(server.run)
    return server


@pytest.fixture
async def realm(nursery) -> TokenRealm:
    """A token service. Its gate goes before a registry: on("/v2/", realm.gate)."""
    service = TokenRealm()
    await nursery.start(service.server.run)
    return service


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def retry_policy(waits) -> RetryPolicy:
    """The real rules; waiting is noted instead of done, and nothing is random."""
    return RetryPolicy(sleep=waits, jitter=lambda: 1.0)


@pytest.fixture
def gated(faults, realm) -> FaultServer:
    """The registry behind a gate that wants a token of `realm`."""
    faults.on("/v2/", realm.gate)
    return faults
