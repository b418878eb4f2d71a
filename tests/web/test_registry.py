"""/v2 over real sockets, with an in-memory registry behind it."""

import hashlib
from urllib.parse import quote

import pytest
import trio
import trio.testing
from hypothesis import given, strategies as st

from nixeryd.images.manifests import INDEX_TYPE, MANIFEST_TYPE
from nixeryd.images.routes import ManifestRoute
from nixeryd.images.served_manifests import Origin
from nixeryd.web.registry import paginate

BODY = b'{"schemaVersion":2}'
NOWHERE = "sha256:" + "0" * 64


@pytest.mark.parametrize("path", ["/v2/", "/v2"])
async def test_the_root_says_that_this_is_a_registry(main, path):
    answer = await main.get(path)
    assert answer.status == 200
    assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
    assert answer.json == {}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("by_digest", [False, True])
async def test_a_manifest_tells_all_about_itself(main, registry, method, by_digest):
    digest = registry.add_manifest("shell/git", "latest", BODY)
    reference = str(digest) if by_digest else "latest"
    answer = await main.request(method, f"/v2/shell/git/manifests/{reference}")
    assert answer.status == 200
    assert answer.headers["docker-content-digest"] == str(digest)
    assert answer.headers["content-length"] == str(len(BODY))
    assert answer.headers["content-type"] == MANIFEST_TYPE
    assert answer.headers["etag"] == f'"{digest}"'
    assert answer.body == (BODY if method == "GET" else b"")
    assert "oci-namespace" not in answer.headers


async def test_accept_does_not_matter(main, registry):
    registry.add_manifest("git", "latest", BODY)
    answer = await main.get("/v2/git/manifests/latest", accept="text/html")
    assert (answer.status, answer.body) == (200, BODY)


async def test_the_door_and_the_ns_are_passed_on(main, mirror, registry):
    registry.add_manifest("library/nginx", "latest", BODY)
    path = "/v2/library/nginx/manifests/latest"
    plain = await mirror.get(path)
    named = await main.get(f"{path}?ns=docker.io&x=1")
    assert "oci-namespace" not in plain.headers
    assert named.headers["oci-namespace"] == "docker.io"
    asked = ManifestRoute(("library", "nginx"), "latest")
    assert registry.asked == [
        (asked, Origin(None, mirror=True)),
        (asked, Origin("docker.io", mirror=False)),
    ]


@pytest.mark.parametrize("ns", ["a%0d%0aSet-Cookie:%20x", "a/b", "a b", "%00", "ö.de"])
async def test_an_ns_that_is_no_registry_never_gets_into_a_header(main, registry, ns):
    registry.add_manifest("git", "latest", BODY)
    path = f"/v2/git/manifests/latest?ns={quote(ns, safe='%')}"
    answer = await main.get(path)
    assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")
    assert registry.asked == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_blob_tells_all_about_itself(main, registry, method):
    digest = registry.add_blob(b"0123456789")
    answer = await main.request(method, f"/v2/git/blobs/{digest}")
    assert answer.status == 200
    assert answer.headers["docker-content-digest"] == str(digest)
    assert answer.headers["content-length"] == "10"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.body == (b"0123456789" if method == "GET" else b"")


async def test_head_does_not_open_the_blob(main, registry):
    digest = registry.add_blob(b"0123456789")
    (registry.directory / digest.hex).unlink()
    answer = await main.request("HEAD", f"/v2/git/blobs/{digest}")
    assert (answer.status, answer.headers["content-length"]) == (200, "10")


async def test_an_empty_blob_is_a_blob(main, registry):
    digest = registry.add_blob(b"")
    answer = await main.get(f"/v2/git/blobs/{digest}", range="bytes=0-")
    assert answer.status == 416
    answer = await main.get(f"/v2/git/blobs/{digest}")
    assert (answer.status, answer.headers["content-length"]) == (200, "0")


async def test_a_big_blob_arrives_whole(main, registry):
    data = bytes(range(256)) * (40 * 1024 + 1)
    digest = registry.add_blob(data)
    answer = await main.get(f"/v2/git/blobs/{digest}")
    assert "sha256:" + hashlib.sha256(answer.body).hexdigest() == str(digest)


RANGES = {
    "bytes=0-": (206, slice(0, None)),
    "bytes=0-0": (206, slice(0, 1)),
    "bytes=100-199": (206, slice(100, 200)),
    "bytes=2999999-": (206, slice(2999999, None)),
    "bytes=2999999-9999999": (206, slice(2999999, None)),
    "bytes=1048575-1048577": (206, slice(1048575, 1048578)),
    "bytes=-1": (206, slice(-1, None)),
    "bytes=-9999999": (206, slice(0, None)),
    "bytes=0-1,5-6": (200, slice(0, None)),
    "bytes=5-1": (200, slice(0, None)),
    "lines=1-2": (200, slice(0, None)),
    "rubbish": (200, slice(0, None)),
}


@pytest.mark.parametrize(("header", "expected"), RANGES.items(), ids=RANGES)
async def test_a_range_is_these_very_bytes(main, registry, header, expected):
    data = hashlib.shake_256(b"blob").digest(3_000_000)
    digest = registry.add_blob(data)
    answer = await main.get(f"/v2/git/blobs/{digest}", range=header)
    status, part = expected
    start, stop, _ = part.indices(len(data))
    assert answer.status == status
    assert answer.body == data[part]
    assert answer.headers["content-length"] == str(stop - start)
    if status == 206:
        expected_range = f"bytes {start}-{stop - 1}/{len(data)}"
        assert answer.headers["content-range"] == expected_range


async def test_a_range_outside_the_blob_is_416_with_the_size(main, registry):
    digest = registry.add_blob(b"0123456789")
    answer = await main.get(f"/v2/git/blobs/{digest}", range="bytes=10-")
    assert answer.status == 416
    assert answer.headers["content-range"] == "bytes */10"


async def test_a_range_of_another_version_is_answered_with_the_whole(main, registry):
    digest = registry.add_blob(b"0123456789")
    path = f"/v2/git/blobs/{digest}"
    other = await main.get(path, range="bytes=5-", if_range='"sha256:other"')
    same = await main.get(path, range="bytes=5-", if_range=f'"{digest}"')
    assert (other.status, other.body) == (200, b"0123456789")
    assert (same.status, same.body) == (206, b"56789")


async def test_what_the_client_has_is_not_sent_again(main, registry):
    blob = registry.add_blob(b"0123456789")
    manifest = registry.add_manifest("git", "latest", BODY)
    async with await main.connect() as client:
        for path, digest in {
            f"/v2/git/blobs/{blob}": blob,
            "/v2/git/manifests/latest": manifest,
        }.items():
            answer = await client.request("GET", path, if_none_match=f'"x", "{digest}"')
            assert (answer.status, answer.body) == (304, b"")
            assert answer.headers["etag"] == f'"{digest}"'
            assert (await client.request("GET", path, if_none_match='"x"')).body


async def test_tags_are_listed_in_order(main, registry):
    for tag in ("work", "latest", "24.11"):
        registry.add_manifest("shell/git", tag, BODY)
    answer = await main.get("/v2/shell/git/tags/list")
    assert answer.json == {"name": "shell/git", "tags": ["24.11", "latest", "work"]}
    assert "link" not in answer.headers


async def test_links_lead_through_all_pages(main, registry):
    tags = [f"v{number}" for number in range(5)]
    for tag in tags:
        registry.add_manifest("git", tag, BODY)
    path, seen = "/v2/git/tags/list?n=2", []
    while path:
        answer = await main.get(path)
        seen.append(answer.json["tags"])
        link = answer.headers.get("link", "<>")
        path = link[1 : link.index(">")]
    assert seen == [["v0", "v1"], ["v2", "v3"], ["v4"]]


async def test_a_link_keeps_the_ns(main, registry):
    for tag in "ab":
        registry.add_manifest("git", tag, BODY)
    answer = await main.get("/v2/git/tags/list?n=1&ns=docker.io")
    expected = '</v2/git/tags/list?n=1&last=a&ns=docker.io>; rel="next"'
    assert answer.headers["link"] == expected


@given(
    st.sets(st.text("abc", min_size=1, max_size=3)),
    st.none() | st.integers(0, 5),
    st.none() | st.text("abc", max_size=3),
)
def test_a_page_is_what_follows_and_no_more(tags, limit, last):
    page, more = paginate(tags, limit, last)
    rest = sorted(tag for tag in tags if last is None or tag > last)
    assert page == rest[: len(page)]
    assert limit is None or len(page) <= limit
    assert more == (limit != 0 and page != rest)


async def test_nothing_refers_to_anything(main):
    answer = await main.get(f"/v2/git/referrers/{NOWHERE}")
    assert (answer.status, answer.headers["content-type"]) == (200, INDEX_TYPE)
    assert answer.json["manifests"] == []


@pytest.mark.parametrize("body", [b"", b"x" * 2_000_000], ids=["bare", "body"])
async def test_a_client_that_leaves_ends_its_request(main, registry, body):
    ended = trio.Event()

    async def wait():
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    registry.manifests[("git",), "latest"] = wait
    async with await main.connect() as client:
        await client.ask("GET", "/v2/git/manifests/latest", body=body)
        await trio.testing.wait_all_tasks_blocked()
        assert not ended.is_set()
    with trio.fail_after(20):
        await ended.wait()


async def test_fields_of_one_name_are_one(main, registry):
    digest = registry.add_manifest("git", "latest", b"{}")
    async with await main.connect() as client:
        await client.send(
            "GET /v2/git/manifests/latest HTTP/1.1\r\nhost: localhost\r\n"
            f'if-none-match: "x"\r\nif-none-match: "{digest}"\r\n'
            "connection: close\r\n\r\n"
        )
        assert (await client.rest()).startswith(b"HTTP/1.1 304 ")


async def test_a_short_answer_leaves_in_one_piece(main, registry):
    registry.add_manifest("git", "latest", b"the whole of it")
    async with await main.connect() as client:
        await client.ask("GET", "/v2/git/manifests/latest")
        assert bytes(await client.stream.receive_some(65536)).endswith(b"whole of it")


async def test_a_defect_is_told_as_json_and_without_its_insides(main, registry, caplog):
    registry.manifests[("git",), "latest"] = ValueError("insides")
    answer = await main.get("/v2/git/manifests/latest")
    assert (answer.status, answer.code) == (500, "UNKNOWN")
    assert b"insides" not in answer.body
    assert "insides" in caplog.text
    assert answer.headers["docker-distribution-api-version"] == "registry/2.0"


@pytest.mark.parametrize("length", ["content-length: 7", "transfer-encoding: chunked"])
async def test_who_is_answered_before_its_body_was_read_is_told_to_leave(main, length):
    """Go's clients use the connection again otherwise, and fail with EOF."""
    async with await main.connect() as client:
        await client.send(
            f"PUT /v2/git/manifests/x HTTP/1.1\r\nhost: localhost\r\n{length}\r\n\r\n"
        )
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (405, "close")
        assert await client.rest() == b""
