"""What is in an image, whatever its maker has put there."""

import json

import pytest

from nixeryd.cache import catalogue
from nixeryd.cache.catalogue import Catalogue
from nixeryd.cache.configs import MAX_CONFIG
from nixeryd.images.descriptors import DEEPEST, Platform
from nixeryd.images.digests import Digest
from nixeryd.images.freshness import Entry
from nixeryd.store.index import StoredManifest
from nixeryd.store.mirrored import UpstreamRepository
from tests.upstream.registries import INDEX, MANIFEST, digest_of

PLACE = UpstreamRepository("hub.test", "evil/app")


@pytest.fixture
def told(shelf):
    return Catalogue(
        shelf.blobs,
        shelf.index,
        shelf.index_path,
        shelf.uses,
        Platform("linux", "amd64"),
    )


def put(shelf, body: bytes, media_type: str, *needs: Digest) -> Digest:
    """Keep a manifest as the mirror does."""
    digest = shelf.blobs.put(body)
    shelf.index.add_manifest(StoredManifest(digest, media_type, needs, 1))
    shelf.index.mirrored.add_manifest(PLACE, digest, media_type)
    return digest


def name(shelf, digest: Digest):
    shelf.index.mirrored.set_tag(PLACE, "latest", Entry(digest, 1.0))
    (found,) = shelf.index.names.of(digest)
    return found


def image_of(config: bytes, layers: int = 1) -> bytes:
    parts = [{"digest": digest_of(b"%d" % n), "size": 1} for n in range(layers)]
    top = {"digest": digest_of(config), "size": len(config)}
    return json.dumps({"schemaVersion": 2, "config": top, "layers": parts}).encode()


@pytest.mark.parametrize(
    "config",
    [b'{"config":[1],"history":5}', b'{"config":' * 100_000, b" " * (MAX_CONFIG + 1)],
    ids=["types", "deep", "long"],
)
async def test_a_config_that_cannot_be_read_is_said(shelf, told, config):
    digest = put(shelf, image_of(config), MANIFEST, shelf.blobs.put(config))
    details = await told.show(name(shelf, digest))
    assert "cannot be read" in details.problem
    assert (details.config, details.platform, len(details.layers)) == ({}, "", 1)


async def test_a_config_that_is_not_here_yet_is_no_problem(shelf, told):
    digest = put(shelf, image_of(b"{}"), MANIFEST)
    assert (await told.show(name(shelf, digest))).problem == ""


async def test_so_many_layers_and_variants_are_told(shelf, told, monkeypatch):
    monkeypatch.setattr(catalogue, "MOST", 3)
    digest = put(shelf, image_of(b"{}", layers=10), MANIFEST)
    details = await told.show(name(shelf, digest))
    assert (len(details.layers), details.left_out) == (3, 7)
    index = put(shelf, index_of(*[digest] * 10), INDEX, digest)
    details = await told.show(name(shelf, index))
    assert (len(details.layers), len(details.variants)) == (3, 3)


async def test_indexes_in_indexes_have_an_end(shelf, told):
    digest = put(shelf, image_of(b"{}"), MANIFEST)
    for depth in range(10):
        digest = put(shelf, index_of(digest), INDEX, digest)
        if depth < DEEPEST:
            assert told.whole(digest) is not None
    assert told.whole(digest) is None
    assert (await told.show(name(shelf, digest))).layers == ()


def index_of(*digests: Digest) -> bytes:
    platform = {"os": "linux", "architecture": "amd64"}
    manifests = [{"digest": str(d), "size": 1, "platform": platform} for d in digests]
    return json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()
