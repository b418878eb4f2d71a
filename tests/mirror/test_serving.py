"""The mirror through its real door: every byte that a client sees."""

import json
from itertools import product

import h11
import pytest
import trio

from nixeryd.daemon.registry import Registry
from nixeryd.store.uses import Uses
from nixeryd.web.app import create_app
from nixeryd.web.hosts import Policy
from nixeryd.web.ports import ListenerKind
from tests.mirror.conftest import HOST, LAYER, LAYER_DIGEST, TTL, open_mirror, settle
from tests.upstream.faults import Change, HangUp, Hold, Reply
from tests.upstream.fixtures import IMAGE
from tests.upstream.registries import INDEX
from tests.web.conftest import MemoryControl

HUB = "docker.io"
BLOBS = "GET .*/blobs/"
LAYER_PATH = f"/v2/library/hello/blobs/{LAYER_DIGEST}"


@pytest.fixture
async def hub(tmp_path, faults, retry_policy, clock):
    """A mirror of Docker Hub, and of a second upstream at the same place."""
    urls = {HUB: faults.url, HOST: faults.url}
    async with open_mirror(tmp_path / "hub", urls, retry_policy, clock) as setup:
        yield setup


async def _door(serving, setup, listener):
    registry = Registry(
        None,  # nobody asks for a build here
        setup.mirror,
        Uses(setup.index, setup.blobs.leases),
        own_hosts={"localhost:5000"},
        nix_prefixes=("shell", "nix"),
    )
    return serving(
        create_app(registry, MemoryControl(setup.places.root), listener, Policy())
    )


@pytest.fixture
async def mirror_door(serving, hub):
    async with await _door(serving, hub, ListenerKind.MIRROR) as server:
        yield server


@pytest.fixture
async def main_door(serving, hub):
    async with await _door(serving, hub, ListenerKind.MAIN) as server:
        yield server


@pytest.fixture
def listeners(mirror_door, main_door):
    return mirror_door, main_door


@pytest.mark.parametrize(
    ("path", "namespace"),
    [
        ("/v2/library/hello/manifests/latest", None),
        ("/v2/library/hello/manifests/latest?ns=docker.io", HUB),
        (f"/v2/library/hello/manifests/latest?ns={HOST}", HOST),
        (f"/v2/{HOST}/library/hello/manifests/latest", None),
        ("/v2/docker.io/hello/manifests/latest", None),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_every_way_to_ask_is_understood(
    main_door, mirror_door, method, path, namespace
):
    for listener in (main_door, mirror_door):
        answer = await listener.request(method, path)
        assert answer.status == 200
        assert answer.headers["docker-content-digest"] == IMAGE.digest
        assert answer.headers["content-length"] == str(len(IMAGE.manifest))
        assert answer.headers["age"] == "0"
        assert answer.headers.get("oci-namespace") == namespace
        assert answer.body == (IMAGE.manifest if method == "GET" else b"")


async def test_an_unknown_registry_is_404_and_not_looked_up(mirror_door, faults):
    for path in ("/v2/x/manifests/y?ns=evil.test", "/v2/x/blobs/sha256:0?ns=a@b"):
        answer = await mirror_door.get(path)
        assert answer.status in (400, 404)
    assert faults.connections == 0


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        (Reply(401, {"WWW-Authenticate": 'Basic realm="x"'}), 404),
        (Reply(401, {"WWW-Authenticate": 'Bearer realm="http://127.0.0.1:9/"'}), 403),
        (Reply(403), 404),
        (Reply(404), 404),
        (Reply(429, {"Retry-After": "600"}), 403),
        (Reply(503), 403),
        (HangUp(), 403),
    ],
)
@pytest.mark.parametrize("path", ["manifests/latest", f"blobs/{LAYER_DIGEST}"])
async def test_whatever_is_wrong_is_said_without_a_challenge(
    listeners, faults, rule, status, path
):
    faults.on("", rule)
    for listener, method in product(listeners, ("HEAD", "GET")):
        answer = await listener.request(method, f"/v2/library/hello/{path}")
        assert answer.status == status
        assert "www-authenticate" not in answer.headers
        assert "retry-after" not in answer.headers
    unknown = {"MANIFEST_UNKNOWN", "BLOB_UNKNOWN"}
    assert answer.code in (unknown if status == 404 else {"DENIED"})
    assert HUB in answer.json["errors"][0]["message"]


async def test_a_stale_answer_says_so(mirror_door, faults, clock):
    await mirror_door.get("/v2/library/hello/manifests/latest")
    clock.now += 10 * TTL
    faults.on("", HangUp())
    answer = await mirror_door.get("/v2/library/hello/manifests/latest")
    assert (answer.status, answer.body) == (200, IMAGE.manifest)
    assert answer.headers["age"] == "600"
    assert answer.headers["warning"].startswith('299 - "')
    assert HUB in answer.headers["warning"]


async def test_what_is_accepted_changes_nothing(mirror_door, faults):
    accepts = [
        "application/vnd.docker.distribution.manifest.v2+json",
        "*/*",
        "text/html",
    ]
    for accept in accepts:
        path = "/v2/library/hello/manifests/latest"
        answer = await mirror_door.get(path, accept=accept)
        assert (answer.status, answer.body) == (200, IMAGE.manifest)
    assert faults.count() == 1


async def test_a_clients_login_stays_here(mirror_door, faults):
    path = "/v2/library/hello/manifests/latest"
    await mirror_door.get(path, authorization="Basic c2VjcmV0", cookie="a=b")
    assert "authorization" not in faults.seen[0].headers
    assert "cookie" not in faults.seen[0].headers


async def test_a_request_that_came_from_here_ends_here(mirror_door, faults):
    path = "/v2/library/hello/manifests/latest"
    answer = await mirror_door.get(path, via="1.1 other, 1.1 nixeryd-test")
    assert answer.status == 404
    assert "leads back here" in answer.json["errors"][0]["message"]
    assert faults.connections == 0


async def test_a_blob_is_streamed_while_it_arrives(mirror_door, faults):
    hold = Hold()
    faults.on(BLOBS, Change(hold=hold, hold_after=100_000))
    async with await mirror_door.connect() as client:
        await client.ask("GET", LAYER_PATH)
        head = await client.head()
        assert dict(head.headers)[b"content-length"] == b"%d" % len(LAYER)
        got = b""
        while len(got) < 100_000:
            got += bytes((await client.event()).data)
        assert got == LAYER[:100_000]
        hold.release()
        while not isinstance(event := await client.event(), h11.EndOfMessage):
            got += bytes(event.data)
    assert got == LAYER


async def test_a_range_comes_from_what_has_arrived(mirror_door, faults):
    hold = Hold()
    faults.on(BLOBS, Change(hold=hold, hold_after=100_000))
    answer = await mirror_door.get(LAYER_PATH, range="bytes=1000-1999")
    assert (answer.status, answer.body) == (206, LAYER[1000:2000])
    assert answer.headers["content-range"] == f"bytes 1000-1999/{len(LAYER)}"
    hold.release()
    answer = await mirror_door.get(LAYER_PATH, range="bytes=299000-")
    assert (answer.status, answer.body) == (206, LAYER[299_000:])
    assert faults.count(BLOBS) == 1


@pytest.mark.parametrize(
    "rule", [Change(corrupt_at=len(LAYER) - 1), Change(cut_after=200_000)]
)
async def test_a_blob_that_goes_wrong_cuts_every_connection(
    hub, mirror_door, faults, rule, caplog
):
    hold = Hold()
    faults.on(BLOBS, HangUp())
    faults.on(BLOBS, rule, times=1)
    faults.on(BLOBS, hold, times=1)
    ended = []

    async def ask() -> None:
        async with await mirror_door.connect() as client:
            await client.send(f"GET {LAYER_PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n")
            ended.append(await client.rest())

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
        await hold.reached.wait()
        await trio.testing.wait_all_tasks_blocked()
        hold.release()
    await settle(hub)
    for answer in ended:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"content-length: %d" % len(LAYER) in head.lower()
        assert len(body) < len(LAYER)
    assert hub.files == set()
    assert "Traceback" not in caplog.text


async def test_the_head_of_a_blob_fetches_nothing(hub, mirror_door, faults):
    answer = await mirror_door.request("HEAD", LAYER_PATH)
    assert answer.status == 200
    assert answer.headers["content-length"] == str(len(LAYER))
    assert answer.headers["docker-content-digest"] == str(LAYER_DIGEST)
    assert faults.count(BLOBS) == 0
    assert hub.files == set()


async def test_so_many_tags_are_given_whatever_the_upstream_makes_of_it(
    mirror_door, faults
):
    faults.on("tags/list", Reply(body=b'{"tags":["d","a","c","b"]}'))
    path, pages = "/v2/library/hello/tags/list?n=2&ns=docker.io", []
    while path:
        answer = await mirror_door.get(path)
        pages.append(answer.json["tags"])
        path = answer.headers.get("link", "<>").partition(">")[0][1:]
        assert path in (
            "",
            "/v2/library/hello/tags/list?n=2&last=b&ns=docker.io",
        )
    assert pages == [["a", "b"], ["c", "d"]]
    answer = await mirror_door.get("/v2/library/hello/tags/list?last=c")
    assert answer.json == {"name": "library/hello", "tags": ["d"]}


async def test_nothing_is_asked_at_the_start(mirror_door, main_door, faults):
    assert (await mirror_door.get("/v2/")).status == 200
    assert faults.connections == 0


async def test_a_digest_that_is_none_is_an_error_of_the_client(mirror_door, faults):
    answer = await mirror_door.get("/v2/library/hello/manifests/sha256:zz")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    assert faults.connections == 0


async def test_referrers_are_chosen_by_their_type_here(mirror_door, faults):
    digest = str(LAYER_DIGEST)
    listed = [
        {"mediaType": "m", "digest": digest, "size": 1, "artifactType": kind}
        for kind in ("sig/x", "sbom/y")
    ]
    faults.on("referrers", Reply(body=json.dumps({"manifests": listed}).encode()))
    path = f"/v2/library/hello/referrers/{digest}?ns=docker.io"
    answer = await mirror_door.get(path)
    assert answer.json["manifests"] == listed
    assert answer.headers["content-type"] == INDEX
    assert "oci-filters-applied" not in answer.headers
    answer = await mirror_door.get(f"{path}&artifactType=sig%2Fx")
    assert answer.json["manifests"] == listed[:1]
    assert answer.headers["oci-filters-applied"] == "artifactType"
    faults.on("referrers", Reply(404))
    assert (await mirror_door.get(path)).status == 404


async def test_a_digest_of_another_algorithm_is_not_here(listeners, faults):
    other = "sha512:" + "a" * 128
    for listener, kind in product(listeners, ("blobs", "manifests", "referrers")):
        answer = await listener.get(f"/v2/library/hello/{kind}/{other}")
        assert answer.status == 404
        answer = await listener.get(f"/v2/library/hello/{kind}/{other}0")
        assert answer.status == 400
    assert faults.connections == 0
