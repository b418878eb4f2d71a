"""Upstreams that lie, named lie by lie; `test_upstreams_at_random` has the rest."""

import gzip

import pytest

from nixeryd.images.routes import Upstream as Route
from nixeryd.mirror.download import Download
from nixeryd.mirror.prefetch import Prefetch, Wanted
from nixeryd.mirror.progress import Failed
from tests.hostile.conftest import HUB, IMAGE
from tests.hostile.upstream import Act, index_of, manifest_of
from tests.upstream.registries import INDEX, MANIFEST, digest_of, make_image

LAYER = IMAGE.layers[0]
LAYER_DIGEST = digest_of(LAYER)
BLOB = f"/v2/library/new/blobs/{LAYER_DIGEST}"
GIGANTIC = 2**63 - 1


async def test_sizes_that_add_up_to_more_than_an_index_can_hold(site):
    body = manifest_of(GIGANTIC, GIGANTIC)
    site.registry.acts = [Act(headers=[("Content-Type", MANIFEST)], body=body)] * 4
    for reference in ("latest", digest_of(body)):
        answer = await site.get(f"/v2/library/new/manifests/{reference}")
        assert answer.status in (200, 403)
    await site.is_well()


async def test_a_pull_of_such_sizes_ends_with_an_error(site):
    body = manifest_of(GIGANTIC, GIGANTIC)
    site.registry.acts = [Act(headers=[("Content-Type", MANIFEST)], body=body)] * 4
    pull = Prefetch(site.setup.mirror, site.setup.nursery)
    wanted = Wanted(Route(HUB, "library/new"), "latest", None)
    with pull.pull(wanted) as events:
        told = [event async for event in events]
    assert isinstance(told[-1], Failed)
    await site.is_well()


CHALLENGE = 'Bearer realm="{url}/token"'


@pytest.mark.parametrize(
    "life", ["1" + "0" * 400, "1e999", "-1e999", '"x"', "[]", "NaN"]
)
@pytest.mark.parametrize("path", [BLOB, "/v2/library/new/manifests/latest"])
async def test_a_token_of_an_absurd_life(site, life, path):
    wanted = CHALLENGE.format(url=site.registry.url)
    site.registry.acts = [
        Act("401 Unauthorized", [("WWW-Authenticate", wanted)], b"", 0),
        Act(body=b'{"token": "t", "expires_in": %s}' % life.encode()),
    ]
    assert (await site.get(path)).status in (200, 403)
    await site.is_well()


TWENTY_MB = {"body": bytes(1 << 20), "repeat": 20}


@pytest.mark.parametrize(
    "act",
    [
        Act(**TWENTY_MB),
        Act(**TWENTY_MB, chunked=True),
        Act("206 Partial Content", [("Content-Range", "bytes 0-9/10")], **TWENTY_MB),
        Act(
            "206 Partial Content",
            [("Content-Range", f"bytes 0-9/{len(LAYER)}")],
            **TWENTY_MB,
            chunked=True,
        ),
    ],
    ids=["until it closes", "chunked", "after its range", "after its size, chunked"],
)
async def test_a_blob_without_an_end_is_broken_off(site, act, monkeypatch):
    monkeypatch.setattr("nixeryd.mirror.downloads.LARGEST_UNTOLD", 2 << 20)
    largest = 0
    note = Download.note

    def noted(self, **news):
        nonlocal largest
        note(self, **news)
        largest = max(largest, self.arrived)

    monkeypatch.setattr(Download, "note", noted)
    site.registry.acts = [act]
    got = await site.fetch(BLOB)
    assert got.status == 403 or not got.is_whole
    assert largest <= 4 << 20
    await site.is_well()


@pytest.mark.parametrize("claimed", [len(LAYER) - 1, len(LAYER) + 1, 10**19, 2**64])
async def test_a_length_that_is_a_lie_makes_nothing_whole(site, claimed):
    site.registry.acts = [Act(body=LAYER, length=claimed)] * 20
    got = await site.fetch(BLOB)
    assert got.status == 403 or not got.is_whole
    await site.is_well()


BOMB = gzip.compress(bytes(10 << 20))


@pytest.mark.parametrize(
    "coding", ["gzip", "GZIP", "br", "gzip, gzip", "identity, gzip"]
)
async def test_a_bomb_is_not_even_unpacked(site, coding):
    headers = [("Content-Encoding", coding), ("Content-Type", MANIFEST)]
    site.registry.acts = [Act(headers=headers, body=BOMB, length=len(BOMB))] * 4
    for path in (BLOB, "/v2/library/new/manifests/latest", "/v2/library/new/tags/list"):
        assert (await site.fetch(path)).status == 403
    await site.is_well()


DEEP = b"[" * 2_000_000
NESTED = b'{"schemaVersion": 2, "x": ' + b'{"a":' * 400_000
DIGITS = b'{"schemaVersion": ' + b"9" * 1_000_000 + b"}"


@pytest.mark.parametrize("body", [DEEP, NESTED, DIGITS, b"\xff" * 1000, b""])
@pytest.mark.parametrize("kind", [MANIFEST, INDEX])
async def test_json_that_no_parser_likes_is_no_manifest(site, body, kind):
    act = Act(headers=[("Content-Type", kind)], body=body, length=len(body))
    site.registry.acts = [act] * 2
    for path in ("/v2/library/new/manifests/latest", "/v2/library/new/tags/list"):
        assert (await site.get(path)).status == 403
    await site.is_well()


async def test_an_index_of_very_many_is_an_index_and_no_pull_of_all(site):
    body = index_of([digest_of(b"%d" % at) for at in range(25_000)])
    assert 3 << 20 < len(body) < 4 << 20
    act = Act(headers=[("Content-Type", INDEX)], body=body, length=len(body))
    site.registry.acts = [act]
    answer = await site.get("/v2/library/new/manifests/many")
    assert (answer.status, answer.body) == (200, body)
    wanted = Wanted(Route(HUB, "library/new"), "many", None)
    site.registry.acts = [act]
    with Prefetch(site.setup.mirror, site.setup.nursery).pull(wanted) as events:
        told = [event async for event in events]
    assert isinstance(told[-1], Failed)
    assert len(site.registry.asked) < 100
    await site.is_well()


async def test_a_pull_of_indexes_in_indexes_has_an_end(site, monkeypatch):
    monkeypatch.setattr("nixeryd.mirror.prefetch._MOST_MANIFESTS", 3)
    images = [make_image("library/new", [b"%d" % at]) for at in range(5)]
    site.registry.images |= {f"{at}": image for at, image in enumerate(images)}
    body = index_of([image.digest for image in images])
    act = Act(headers=[("Content-Type", INDEX)], body=body, length=len(body))
    site.registry.acts = [act]
    wanted = Wanted(Route(HUB, "library/new"), "all", None)
    with Prefetch(site.setup.mirror, site.setup.nursery).pull(wanted) as events:
        told = [event async for event in events]
    assert "more than 3 manifests" in told[-1].message


async def test_headers_without_an_end_are_cut(site):
    flood = [(f"X-{at}", "y" * 1000) for at in range(1000)]
    site.registry.acts = [Act(headers=flood)] * 20
    for path in (BLOB, "/v2/library/new/manifests/latest"):
        assert (await site.fetch(path)).status == 403
    await site.is_well()


async def test_an_answer_that_drips_is_not_waited_for_to_the_end(site, monkeypatch):
    monkeypatch.setattr("nixeryd.upstream.client.WHOLE", 0.2)
    drip = Act(body=b"", length=100, closes=False)
    site.registry.acts = [drip] * 4
    for path in ("/v2/library/new/manifests/latest", "/v2/library/new/tags/list"):
        assert (await site.get(path)).status == 403
    site.registry.acts = []
    assert (await site.get(f"/v2/library/new/manifests/{IMAGE.digest}")).status == 200
    await site.is_well()


@pytest.mark.parametrize(
    "wait", ["9" * 4000, "-1", "soon", "Fri, 31 Dec 9999 23:59:59 -2359"]
)
@pytest.mark.parametrize("status", ["429 No", "503 No"])
async def test_an_absurd_retry_after_is_not_kept_to(site, wait, status):
    act = Act(status, [("Retry-After", wait)], b"", 0)
    site.registry.acts = [act] * 20
    for path in (BLOB, "/v2/library/new/manifests/latest"):
        assert (await site.get(path)).status == 403
    assert max(site.waits.seconds, default=0) <= 10
    await site.is_well()
