"""The whole stack: what the framework does to connections, and must not.

quart-trio cancels its task while the last message of a response is still being
sent. Once, that kept connections from ever being closed or timed out.
"""

import pytest
import trio

from nixeryd.web.app import create_app
from nixeryd.web.connection import Timeouts
from nixeryd.web.hosts import Policy
from nixeryd.web.ports import ListenerKind
from nixeryd.web.serve import Limits

SHORT = Limits(grace=3600, timeouts=Timeouts(keep_alive=0.2, linger=0.2))
PATIENT = Limits(grace=3600, timeouts=Timeouts(keep_alive=3600))


@pytest.fixture
def app(registry, control):
    return create_app(registry, control, ListenerKind.MAIN, Policy())


@pytest.fixture
def paths(registry):
    """A body of each kind: bytes, a file, none at all, an error."""
    registry.add_manifest("git", "latest", b"{}")
    digest = registry.add_blob(bytes(3_000_000))
    return [
        "/v2/git/manifests/latest",
        f"/v2/git/blobs/{digest}",
        "/v2/nothing/manifests/latest",
        "/nowhere",
    ]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_connection_close_is_honoured(serving, app, paths, method):
    async with serving(app, limits=PATIENT) as server:
        for path in paths:
            async with await server.connect() as client:
                await client.request(method, path, connection="close")
                assert await client.rest() == b""


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_idle_connection_is_let_go(serving, app, paths, method):
    async with serving(app, limits=SHORT) as server:
        for path in paths:
            async with await server.connect() as client:
                await client.request(method, path)
                assert await client.rest() == b""


async def test_a_stop_waits_for_no_idle_connection(serving, app, paths):
    async with serving(app, limits=PATIENT) as server, trio.open_nursery() as nursery:
        clients = [await server.connect() for _ in paths]
        for client, path in zip(clients, paths, strict=True):
            await client.request("GET", path)
        server.stop.set()
        for client in clients:
            nursery.start_soon(client.rest)
        with trio.fail_after(20):
            await server.stopped.wait()
        for client in clients:
            await client.aclose()


async def test_one_connection_serves_all_kinds_in_turn(serving, app, paths):
    async with serving(app, limits=PATIENT) as server, await server.connect() as client:
        for path in paths * 3:
            for method in ("HEAD", "GET"):
                assert (await client.request(method, path)).status in {200, 404}


async def test_a_stop_lets_a_blob_finish(serving, app, registry):
    digest = registry.add_blob(bytes(64_000_000))
    async with serving(app, limits=PATIENT) as server, await server.connect() as client:
        await client.ask("GET", f"/v2/git/blobs/{digest}")
        await client.head()
        server.stop.set()
        size = 0
        while data := getattr(await client.event(), "data", b""):
            size += len(data)
        assert size == 64_000_000
        assert await client.rest() == b""


async def test_pipelined_blobs_are_answered_in_order(serving, app, registry):
    digests = [registry.add_blob(bytes([n]) * 2_000_000) for n in range(3)]
    request = "GET /v2/git/blobs/{} HTTP/1.1\r\nhost: localhost\r\n{}\r\n"
    async with serving(app, limits=PATIENT) as server, await server.connect() as client:
        await client.send(
            request.format(digests[0], "")
            + request.format(digests[1], "")
            + request.format(digests[2], "connection: close\r\n")
        )
        data = await client.rest()
    order = [data.index(bytes([n]) * 1000) for n in range(3)]
    assert order == sorted(order)
    assert len(data) > 6_000_000
