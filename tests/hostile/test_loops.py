"""Mirrors that are each other's upstream: an error at once, and nobody goes round.

The doors are real; that a daemon knows its own requests is in
`tests/mirror/test_serving.py`.
"""

from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio

from nixeryd.daemon.registry import Registry
from nixeryd.images.digests import Digest
from nixeryd.mirror.mirror import Mirror
from nixeryd.mirror.sources import Upstreams
from nixeryd.runtime.offline import Offline
from nixeryd.store.blobs import Blobs
from nixeryd.store.datadir import open_data_dir
from nixeryd.store.index import open_index
from nixeryd.store.uses import Uses
from nixeryd.upstream import open_upstream
from nixeryd.web.app import create_app
from nixeryd.web.asgi import App, Receive, Scope, Send
from nixeryd.web.hosts import Policy
from nixeryd.web.ports import ListenerKind
from tests.hostile.conftest import HUB, KEPT
from tests.hostile.upstream import HostileRegistry
from tests.web.conftest import MemoryControl, Server, _serving

NAMES = [f"nixeryd-0000000{digit}" for digit in range(3)]
DIGEST = Digest.of(b"nobody has it")
PATHS = [
    "manifests/latest",
    f"manifests/{DIGEST}",
    f"blobs/{DIGEST}",
    "tags/list",
]


class Late:
    """An app that is known after its address is, and how often it was asked."""

    def __init__(self) -> None:
        self.app: App | None = None
        self.count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.count += 1
        await self.app(scope, receive, send)


@asynccontextmanager
async def open_chain(root, count: int, end: str = ""):
    """Open mirrors, each the next one's client; the last is the first's, or `end`'s."""
    async with AsyncExitStack() as stack:
        apps = [Late() for _ in range(count)]
        listeners: list[Server] = [
            await stack.enter_async_context(_serving(app)) for app in apps
        ]
        nursery = await stack.enter_async_context(trio.open_nursery())
        urls = [
            f"http://127.0.0.1:{listener.port}"
            for listener in (*listeners[1:], listeners[0])
        ]
        if end:
            urls[-1] = end
        for at, app in enumerate(apps):
            place = root / f"{at}"
            places = stack.enter_context(open_data_dir(place))
            index = stack.enter_context(open_index(places.index))
            blobs = Blobs(places.blobs, places.staging)
            client = await stack.enter_async_context(
                open_upstream(HUB, urls[at], via=NAMES[at])
            )
            mirror = Mirror(
                Upstreams({HUB: client}, NAMES[at]),
                blobs,
                index,
                nursery,
                ttl=0,
                offline=Offline(has_network=lambda: True),
            )
            served = Registry(
                None,  # nobody asks for a build here
                mirror,
                Uses(index, blobs.leases),
                own_hosts=(),
                nix_prefixes=(),
            )
            app.app = create_app(
                served, MemoryControl(place), ListenerKind.MIRROR, Policy()
            )
        yield listeners, apps
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("count", [1, 2, 3])
async def test_a_circle_of_mirrors_ends_where_it_began(tmp_path, count, method, path):
    async with open_chain(tmp_path, count) as (listeners, apps):
        answer = await listeners[0].request(method, f"/v2/library/a/{path}")
        assert answer.status == 404
        # Once round, and back to who asked first.
        assert [app.count for app in apps] == [2, *[1] * (count - 1)]
        if method == "GET":
            assert "answered 404" in answer.json["errors"][0]["message"]


async def test_mirrors_in_a_row_are_fine(tmp_path, nursery):
    registry = HostileRegistry({"1": KEPT})
    await nursery.start(registry.run)
    async with open_chain(tmp_path, 3, registry.url) as (listeners, _):
        answer = await listeners[0].get("/v2/library/kept/manifests/1")
        assert (answer.status, answer.body) == (200, KEPT.manifest)
    assert len(registry.asked) == 1


async def test_what_a_client_says_it_came_by_is_not_passed_on(tmp_path, nursery):
    registry = HostileRegistry({"1": KEPT})
    await nursery.start(registry.run)
    async with open_chain(tmp_path, 1, registry.url) as (listeners, _):
        for via in ("1.1 secret.example", "1.1 nixeryd-12345678, x " + "y" * 9000):
            await listeners[0].get("/v2/library/kept/manifests/1", via=via)
    heads = b"".join(registry.heads)
    assert b"secret" not in heads
    assert b"yyy" not in heads
    assert b"Via: 1.1 nixeryd-12345678, 1.1 nixeryd-00000000\r\n" in heads


async def test_a_way_too_long_ends(tmp_path, nursery):
    registry = HostileRegistry({"1": KEPT})
    await nursery.start(registry.run)
    via = ", ".join(f"1.1 nixeryd-{at:08x}" for at in range(100, 150))
    async with open_chain(tmp_path, 1, registry.url) as (listeners, _):
        answer = await listeners[0].get("/v2/library/kept/manifests/1", via=via)
        assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")
    assert registry.asked == []
