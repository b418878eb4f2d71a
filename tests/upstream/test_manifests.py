import hashlib
import json

import pytest

from nixeryd.images.digests import Digest
from nixeryd.upstream import (
    UpstreamBroken,
)
from tests.upstream.faults import Change, Reply
from tests.upstream.fixtures import IMAGE
from tests.upstream.registries import INDEX, MANIFEST, digest_of

REPOSITORY = IMAGE.repository


@pytest.mark.parametrize("reference", ["latest", Digest.parse(IMAGE.digest)])
async def test_a_manifest_comes_byte_for_byte(upstream, reference):
    fetched = await upstream.get_manifest(REPOSITORY, reference)
    assert fetched.body == IMAGE.manifest
    assert str(fetched.digest) == IMAGE.digest
    assert fetched.media_type == MANIFEST


async def test_an_index_comes_as_an_index(upstream, registry):
    child = {
        "mediaType": MANIFEST,
        "digest": IMAGE.digest,
        "size": len(IMAGE.manifest),
        "platform": {"architecture": "amd64", "os": "linux"},
    }
    body = json.dumps(
        {"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}
    ).encode()
    registry.push_manifest(REPOSITORY, "index", body, INDEX)
    fetched = await upstream.get_manifest(REPOSITORY, "index")
    assert (fetched.body, fetched.media_type) == (body, INDEX)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (Change(corrupt_at=5), "digest"),
        (Change(headers={"Docker-Content-Digest": digest_of(b"x")}), "digest"),
        (Change(headers={"Content-Type": "text/html"}), "'text/html'"),
        (Change(headers={"Content-Type": None}), "'nothing'"),
        (Change(headers={"Content-Type": INDEX}), "type"),
        (Reply(200, {"Content-Type": MANIFEST}, b"{"), "no JSON"),
        (Reply(200, {"Content-Type": MANIFEST}, b"[" * 100_000), "no JSON"),
        (Reply(200, {"Content-Type": MANIFEST}, b"\xff"), "no JSON"),
        (Reply(200, {"Content-Type": MANIFEST}, b"[]"), "schema 2"),
        (Reply(200, {"Content-Type": MANIFEST}, b'{"schemaVersion":1}'), "schema 2"),
        (Reply(200, {"Content-Type": MANIFEST}, b" " * (4 << 20) + b"{}"), "4194304"),
        (
            Change(
                headers={
                    "Content-Type": "application/vnd.docker.distribution"
                    ".manifest.v1+prettyjws"
                }
            ),
            "schema 1",
        ),
        (Reply(418), "418"),
    ],
)
async def test_a_manifest_that_is_none_is_refused(upstream, faults, answer, complaint):
    faults.on("GET", answer)
    with pytest.raises(UpstreamBroken, match=rf"^hub\.test: .*{complaint}"):
        await upstream.get_manifest(REPOSITORY, "latest")


async def test_a_manifest_must_have_the_digest_it_was_asked_by(upstream, faults):
    faults.on("", Reply(200, {"Content-Type": MANIFEST}, b'{"schemaVersion":2}'))
    with pytest.raises(UpstreamBroken, match="digest"):
        await upstream.get_manifest(REPOSITORY, Digest.parse(IMAGE.digest))


async def test_a_manifest_without_a_digest_header_is_taken(upstream, faults):
    faults.on("", Change(headers={"Docker-Content-Digest": None}))
    fetched = await upstream.get_manifest(REPOSITORY, "latest")
    assert str(fetched.digest) == IMAGE.digest
    assert (await upstream.head_manifest(REPOSITORY, "latest")).digest is None


async def test_head_must_be_of_the_digest_it_was_asked_by(upstream, faults):
    wrong = {"Docker-Content-Digest": digest_of(b"x")}
    faults.on("HEAD", Change(headers=wrong))
    with pytest.raises(UpstreamBroken, match="under the name of"):
        await upstream.head_manifest(REPOSITORY, Digest.parse(IMAGE.digest))


async def test_the_largest_manifest_is_taken(upstream, faults):
    body = b'{"schemaVersion":2}'.ljust(4 << 20)
    faults.on("", Reply(200, {"Content-Type": MANIFEST}, body))
    fetched = await upstream.get_manifest(REPOSITORY, "latest")
    assert fetched.digest.hex == hashlib.sha256(body).hexdigest()
