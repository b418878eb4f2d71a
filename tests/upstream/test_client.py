import pytest
import trio

from nixeryd.images.digests import Digest
from nixeryd.upstream import (
    Outgoing,
    UpstreamBroken,
    UpstreamDenied,
    UpstreamNotFound,
    UpstreamUnreachable,
    open_upstream,
)
from tests.upstream.faults import Change, FaultServer, Hold, Reply
from tests.upstream.fixtures import IMAGE
from tests.upstream.registries import MANIFEST

REPOSITORY = IMAGE.repository
LAYER = IMAGE.layers[0]
LAYER_DIGEST = Digest.of(LAYER)


async def read(stream) -> bytes:
    return b"".join([chunk async for chunk in stream])


async def test_opening_an_upstream_asks_nothing(upstream, faults):
    assert faults.connections == 0
    assert repr(upstream) == "<Upstream hub.test>"


@pytest.mark.parametrize("reference", ["latest", Digest.parse(IMAGE.digest)])
async def test_head_tells_digest_type_and_size(upstream, faults, reference):
    head = await upstream.head_manifest(REPOSITORY, reference)
    assert str(head.digest) == IMAGE.digest
    assert head.media_type == MANIFEST
    assert head.size == len(IMAGE.manifest)
    assert [r.method for r in faults.seen] == ["HEAD"]


async def test_a_blob_comes_whole(upstream):
    async with upstream.open_blob(REPOSITORY, LAYER_DIGEST) as stream:
        assert (stream.start, stream.size) == (0, len(LAYER))
        assert await read(stream) == LAYER


async def test_a_blob_comes_from_an_offset(upstream):
    async with upstream.open_blob(REPOSITORY, LAYER_DIGEST, 1000) as stream:
        assert (stream.start, stream.size) == (1000, len(LAYER))
        assert await read(stream) == LAYER[1000:]


async def test_an_upstream_that_ignores_ranges_is_noticed(upstream, faults):
    faults.on("GET .*/blobs/", Change(ignore_range=True))
    async with upstream.open_blob(REPOSITORY, LAYER_DIGEST, 1000) as stream:
        assert (stream.start, stream.size) == (0, len(LAYER))
        assert await read(stream) == LAYER


async def test_an_empty_blob_ends_at_once(upstream):
    async with upstream.open_blob(REPOSITORY, Digest.of(b"")) as stream:
        assert await read(stream) == b""


async def test_another_range_than_asked_for_is_refused(upstream, faults):
    wrong = {"Content-Range": f"bytes 999-{len(LAYER) - 1}/{len(LAYER)}"}
    faults.on("GET .*/blobs/", Change(headers=wrong))
    with pytest.raises(UpstreamBroken, match=r"hub\.test: did not send .* 1000 on"):
        async with upstream.open_blob(REPOSITORY, LAYER_DIGEST, 1000):
            pass


async def test_a_range_beyond_the_end_is_an_error(upstream):
    with pytest.raises(UpstreamBroken, match="416"):
        async with upstream.open_blob(REPOSITORY, LAYER_DIGEST, len(LAYER) + 1):
            pass


async def test_a_coded_blob_is_refused(upstream, faults):
    faults.on("GET .*/blobs/", Change(headers={"Content-Encoding": "gzip"}))
    with pytest.raises(UpstreamBroken, match="coding"):
        async with upstream.open_blob(REPOSITORY, LAYER_DIGEST):
            pass


async def test_a_blob_cut_short_raises_where_it_ends(upstream, faults):
    faults.on("GET .*/blobs/", Change(cut_after=100_000))
    got = bytearray()
    async with upstream.open_blob(REPOSITORY, LAYER_DIGEST) as stream:
        with pytest.raises(UpstreamUnreachable, match=r"hub\.test: .*sending a blob"):  # noqa: PT012  the loop raises
            while True:
                got += await anext(stream)
    assert bytes(got) == LAYER[:100_000]
    assert faults.count("blobs") == 1


async def test_bytes_arrive_while_the_rest_is_still_held_back(upstream, faults):
    hold = Hold()
    faults.on("GET .*/blobs/", Change(hold=hold, hold_after=5000))
    got = bytearray()
    async with upstream.open_blob(REPOSITORY, LAYER_DIGEST) as stream:
        while len(got) < 5000:
            got += await anext(stream)
        assert bytes(got) == LAYER[:5000]
        hold.release()
        got += await read(stream)
    assert bytes(got) == LAYER


async def test_leaving_a_blob_early_hangs_up_and_harms_nobody(upstream, faults):
    hold = Hold()
    faults.on("GET .*/blobs/", Change(hold=hold, hold_after=5000), times=1)
    async with upstream.open_blob(REPOSITORY, LAYER_DIGEST) as stream:
        await anext(stream)
    hold.release()
    await faults.wait_until_idle()
    assert (await upstream.get_manifest(REPOSITORY, "latest")).body == IMAGE.manifest


@pytest.mark.parametrize("after", [None, 5000])
async def test_a_cancelled_blob_hangs_up(upstream, faults, after):
    hold = Hold()
    faults.on("GET .*/blobs/", Change(hold=hold, hold_after=after), times=1)

    async def pull() -> None:
        async with upstream.open_blob(REPOSITORY, LAYER_DIGEST) as stream:
            await read(stream)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pull)
        await hold.reached.wait()
        nursery.cancel_scope.cancel()
    hold.release()
    await faults.wait_until_idle()
    async with upstream.open_blob(REPOSITORY, LAYER_DIGEST) as stream:
        assert await read(stream) == LAYER


async def test_requests_share_a_connection(upstream, faults):
    for _ in range(3):
        await upstream.head_manifest(REPOSITORY, "latest")
        await upstream.get_manifest(REPOSITORY, "latest")
        async with upstream.open_blob(REPOSITORY, LAYER_DIGEST) as stream:
            await read(stream)
    assert (faults.count(), faults.connections) == (9, 1)


async def test_requests_say_who_asks_and_want_plain_bytes(faults, retry_policy):
    async with open_upstream(
        "hub.test", faults.url, via="me-7", retry_policy=retry_policy
    ) as upstream:
        await upstream.get_manifest(REPOSITORY, "latest")
    headers = faults.seen[0].headers
    assert headers["via"] == "1.1 me-7"
    assert headers["accept-encoding"] == "identity"
    assert headers["user-agent"].startswith("nixeryd/")
    assert "authorization" not in headers
    assert "schemaVersion" not in headers["accept"]
    assert "manifest.v1+prettyjws" not in headers["accept"]


async def test_cookies_are_not_kept(upstream, faults):
    faults.on("", Change(headers={"Set-Cookie": "track=me"}))
    await upstream.get_manifest(REPOSITORY, "latest")
    await upstream.get_manifest(REPOSITORY, "latest")
    assert "cookie" not in faults.seen[1].headers


async def test_rate_limits_are_read_from_every_answer(upstream, faults):
    quota = {
        "RateLimit-Limit": "100;w=21600",
        "RateLimit-Remaining": "76;w=21600",
        "Docker-RateLimit-Source": "192.0.2.7",
    }
    faults.on("HEAD", Change(headers=quota), times=1)
    assert upstream.rate_limit is None
    head = await upstream.head_manifest(REPOSITORY, "latest")
    await upstream.head_manifest(REPOSITORY, "latest")
    limit = upstream.rate_limit
    assert limit == head.rate_limit
    assert (limit.limit, limit.remaining, limit.window) == (100, 76, 21600)
    assert limit.source == "192.0.2.7"


@pytest.mark.parametrize(
    ("repository", "reference"),
    [
        (REPOSITORY, "no-such-tag"),
        ("no/such", "latest"),
        (REPOSITORY, Digest("0" * 64)),
    ],
)
async def test_what_the_upstream_lacks_is_not_found(upstream, repository, reference):
    for ask in (upstream.head_manifest, upstream.get_manifest):
        with pytest.raises(UpstreamNotFound, match=r"^hub\.test: answered 404"):
            await ask(repository, reference)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_is_denied(upstream, faults, status):
    faults.on("", Reply(status))
    with pytest.raises(UpstreamDenied, match=r"^hub\.test: "):
        await upstream.get_manifest(REPOSITORY, "latest")


@pytest.mark.parametrize(
    "url", ["", "hub.test", "ftp://hub.test", "https://me:pw@hub.test", "http://[::1"]
)
async def test_an_upstream_needs_a_plain_url(url):
    with pytest.raises(ValueError, match=r"^hub\.test: its url must be"):
        async with open_upstream("hub.test", url):
            pass


async def test_a_url_may_have_a_path_and_a_slash(faults, retry_policy):
    faults.on("GET /proxy/v2/a/b/tags/list$", Reply(body=b'{"tags":["t"]}'))
    async with open_upstream(
        "hub.test", f"{faults.url}/proxy/", retry_policy=retry_policy
    ) as upstream:
        assert (await upstream.tags("a/b")).names == ("t",)


async def test_silence_is_unreachable_and_not_repeated(faults, retry_policy, waits):
    impatient = Outgoing(read_timeout=0)
    faults.on("", Hold())
    async with open_upstream(
        "hub.test", faults.url, retry_policy=retry_policy, outgoing=impatient
    ) as upstream:
        with pytest.raises(UpstreamUnreachable, match=r"^hub\.test: timed out while"):
            await upstream.head_manifest(REPOSITORY, "latest")
    assert waits.seconds == []


async def test_nobody_there_is_unreachable(retry_policy, waits):
    gone = FaultServer()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as inner:
            await inner.start(gone.run)
            scope.cancel()
    async with open_upstream(
        "hub.test", gone.url, retry_policy=retry_policy
    ) as upstream:
        with pytest.raises(UpstreamUnreachable, match=r"^hub\.test: cannot be reached"):
            await upstream.head_manifest(REPOSITORY, "latest")
    assert waits.seconds == [0.25, 0.5]
