"""Long builds: redirects in a circle, then headers before the manifest."""

from urllib.parse import parse_qs, urlsplit

import h11
import pytest
import trio

from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.images.manifests import MANIFEST_TYPE
from nixeryd.images.served_manifests import Manifest, Patience, StillBuilding
from nixeryd.web.waiting import HOLD, HOPS, RedirectHop

BODY = b'{"schemaVersion":2}'
MANIFEST = Manifest(BODY, Digest.of(BODY), MANIFEST_TYPE)
PATH = "/v2/slow/manifests/latest"


@pytest.fixture
def built(registry):
    """The image `slow`, which is there once this is set."""
    event = trio.Event()

    async def build():
        patience = registry.patience[-1]
        if patience.seconds == float("inf"):
            await event.wait()
        elif not event.is_set():
            raise StillBuilding("ticket")
        return MANIFEST

    registry.manifests[("slow",), "latest"] = build
    return event


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_who_waits_too_long_is_sent_round(main, registry, built, method):
    location = f"{PATH}?ns=localhost%3A5000&x=1"
    for hop in range(HOPS):
        answer = await main.request(method, location)
        assert answer.status == 307
        assert registry.patience[-1] == Patience(HOLD, "ticket" if hop else None)
        location = answer.headers["location"]
        url = urlsplit(location)
        assert url.path == PATH, "the same place"
        assert parse_qs(url.query) == {
            "ns": ["localhost:5000"],
            "x": ["1"],
            "nixeryd-hop": [str(hop + 1)],
            "nixeryd-ticket": ["ticket"],
        }
        # Clients that count progress by bytes see some.
        assert answer.body == (b"{}" if method == "GET" else b"")
    built.set()
    answer = await main.request(method, location)
    assert answer.status == 200
    assert answer.headers["docker-content-digest"] == str(MANIFEST.digest)


def last(path=PATH):
    return f"{path}?nixeryd-hop={HOPS}&nixeryd-ticket=ticket"


async def test_the_last_head_says_nothing_that_could_be_believed(main, built):
    answer = await main.request("HEAD", last())
    assert answer.status == 200
    assert "docker-content-digest" not in answer.headers
    assert "content-length" not in answer.headers
    assert answer.headers["content-type"] == MANIFEST_TYPE


async def body_of(client):
    body = b""
    while not isinstance(event := await client.event(), h11.EndOfMessage):
        body += bytes(event.data)
    return body


async def test_the_last_get_sends_headers_first_and_the_manifest_when_built(
    main, built
):
    async with await main.connect() as client:
        await client.ask("GET", last())
        head = await client.head()
        assert head.status_code == 200
        assert not built.is_set()
        built.set()
        assert await body_of(client) == BODY


async def test_a_build_that_fails_after_the_headers_is_cut_off(main, registry):
    async def fail():
        if registry.patience[-1].seconds == float("inf"):
            raise RegistryError(ErrorCode.DENIED, "broken")
        raise StillBuilding("ticket")

    registry.manifests[("slow",), "latest"] = fail
    async with await main.connect() as client:
        await client.ask("GET", last())
        assert (await client.head()).status_code == 200
        with pytest.raises((h11.RemoteProtocolError, trio.BrokenResourceError)):
            await body_of(client)


async def test_a_build_that_fails_in_time_is_told(main, registry):
    registry.manifests[("slow",), "latest"] = RegistryError(ErrorCode.DENIED, "broken")
    answer = await main.get(last())
    assert answer.status == 403
    assert answer.json["errors"][0]["message"] == "broken"


@pytest.mark.parametrize(
    ("query", "turn"),
    [
        ({}, RedirectHop()),
        ({"nixeryd-hop": "3", "nixeryd-ticket": "t"}, RedirectHop(3, "t")),
        ({"nixeryd-hop": "9"}, RedirectHop(9, None)),
        ({"nixeryd-hop": "10", "nixeryd-ticket": "t"}, RedirectHop()),
        ({"nixeryd-hop": "-1", "nixeryd-ticket": "t"}, RedirectHop()),
        ({"nixeryd-hop": "x", "nixeryd-ticket": "t"}, RedirectHop()),
        ({"nixeryd-hop": "²", "nixeryd-ticket": "t"}, RedirectHop()),
        ({"nixeryd-ticket": "t"}, RedirectHop()),
    ],
)
def test_odd_turns_are_first_turns(query, turn):
    assert RedirectHop.of(query) == turn
