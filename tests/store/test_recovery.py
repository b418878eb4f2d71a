"""Recovery: what can be told from the blobs alone, and what is not believed."""

import json

import pytest

from nixeryd.images.digests import Digest
from nixeryd.images.manifests import (
    INDEX_TYPE,
    LayerDescriptor,
    layer_media_type,
    render_config,
    render_manifest,
)
from nixeryd.store import recovery
from nixeryd.store.index import open_index
from nixeryd.store.recovery import recover


def put_image(blobs, *layers):
    digests = [blobs.put(layer) for layer in layers]
    config = render_config(
        architecture="amd64",
        env={},
        cmd=None,
        labels={},
        diff_ids=digests,
        history=["" for _ in layers],
    )
    blobs.put(config)
    return blobs.put(
        render_manifest(
            config,
            [
                LayerDescriptor(digest, digest, len(layer), layer_media_type("none"))
                for digest, layer in zip(digests, layers, strict=True)
            ],
        )
    )


def put_index(blobs, *manifests, media_type=INDEX_TYPE):
    entries = [
        {"digest": str(one), "size": blobs.size(one) or 7, "mediaType": "m"}
        for one in manifests
    ]
    body = {"schemaVersion": 2, "manifests": entries}
    if media_type:
        body["mediaType"] = media_type
    return blobs.put(json.dumps(body).encode())


def test_images_and_indexes_are_found_and_what_they_need(blobs, index):
    image = put_image(blobs, b"base", b"a")
    two = put_index(blobs, image, Digest.of(b"not here"))
    untold = put_index(blobs, image, media_type=None)
    assert recover(blobs, index) == 3
    found = index.manifest(image)
    assert [blobs.size(digest) is not None for digest in found.blobs] == [True] * 3
    assert found.media_type == "application/vnd.oci.image.manifest.v1+json"
    assert index.manifest(two).blobs == (image, Digest.of(b"not here"))
    assert index.manifest(untold).media_type == INDEX_TYPE


@pytest.mark.parametrize("change", [b"", b"bas", b"base+"])
def test_an_image_that_is_not_whole_is_left_out(blobs, index, change):
    put_image(blobs, b"base", b"a")
    path = blobs.path(Digest.of(b"base"))
    path.write_bytes(change)
    if not change:
        path.unlink()
    assert recover(blobs, index) == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}",
        b"{" * 100_000,
        b'{"schemaVersion": 2}',
        b'{"schemaVersion": 2, "manifests": 7}',
        b'{"schemaVersion": 2, "config": {}, "layers": []}',
        b'{"schemaVersion": 2, "manifests": [{"digest": "sha256:0", "size": 1}]}',
        b"{\xff",
        b'{"architecture": "amd64", "config": {"Cmd": []}, "rootfs": {}}',
    ],
)
def test_what_is_no_manifest_is_not_taken_for_one(blobs, index, body):
    blobs.put(body)
    assert recover(blobs, index) == 0


def test_what_is_larger_than_any_manifest_is_not_read(blobs, index, monkeypatch):
    image = put_image(blobs, b"a")
    monkeypatch.setattr(recovery, "_LARGEST", blobs.size(image) - 1)
    assert recover(blobs, index) == 0
    monkeypatch.setattr(recovery, "_LARGEST", blobs.size(image))
    assert recover(blobs, index) == 1


def test_an_image_need_not_say_its_type(blobs, index):
    body = json.loads(blobs.read(put_image(blobs, b"a")))
    del body["mediaType"]
    untold = blobs.put(json.dumps(body).encode())
    assert recover(blobs, index) == 2
    found = index.manifest(untold).media_type
    assert found == "application/vnd.oci.image.manifest.v1+json"


def test_a_type_that_no_manifest_has_is_not_believed(blobs, index):
    image = put_image(blobs, b"a")
    put_index(blobs, image, media_type="text/html\r\nX-Evil: 1")
    assert recover(blobs, index) == 1


def test_a_manifest_that_was_changed_is_not_believed(blobs, index):
    image = put_image(blobs, b"a")
    path = blobs.path(image)
    path.write_bytes(path.read_bytes().replace(b"schema", b"Schema"))
    assert recover(blobs, index) == 0


@pytest.mark.parametrize("left", [None, b"", b"no database at all, but long enough"])
def test_an_index_that_is_lost_or_broken_is_new(places, left):
    with open_index(places.index) as index:
        assert index.is_new
    with open_index(places.index) as index:
        assert not index.is_new
    places.index.unlink()
    if left is not None:
        places.index.write_bytes(left)
    with open_index(places.index) as index:
        assert index.is_new
        assert index.names.all() == []
