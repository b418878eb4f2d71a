import json

import pytest
from hypothesis import given, strategies as st

from nixeryd.images.descriptors import (
    Descriptor,
    Image,
    ImageIndex,
    Platform,
    UnreadableManifest,
    choose_manifest,
    read_descriptors,
)
from nixeryd.images.digests import Digest

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"


def part(data: bytes, **more) -> dict:
    return {"digest": str(Digest.of(data)), "size": len(data), **more}


def read(document, media_type):
    return read_descriptors(json.dumps(document).encode(), media_type)


@pytest.mark.parametrize("media_type", [IMAGE, DOCKER_IMAGE])
def test_an_image_names_its_config_and_its_layers(media_type):
    document = {
        "config": part(b"c"),
        "layers": [part(b"one"), part(b"two", urls=["x"])],
    }
    assert read(document, media_type) == Image(
        tuple(Descriptor(Digest.of(b), len(b)) for b in (b"c", b"one", b"two"))
    )


@pytest.mark.parametrize("media_type", [INDEX, DOCKER_INDEX])
def test_an_index_names_manifests_and_their_platforms(media_type):
    arm = {"os": "linux", "architecture": "arm", "variant": "v7", "features": ["x"]}
    document = {"manifests": [part(b"a", platform=arm), part(b"b")]}
    assert read(document, media_type) == ImageIndex(
        (
            Descriptor(Digest.of(b"a"), 1, Platform("linux", "arm", "v7")),
            Descriptor(Digest.of(b"b"), 1),
        )
    )


@pytest.mark.parametrize(
    ("media_type", "document"),
    [
        (IMAGE, {}),
        (IMAGE, []),
        (IMAGE, {"manifests": []}),
        (IMAGE, {"config": part(b""), "layers": None}),
        (IMAGE, {"config": part(b""), "layers": [{}]}),
        (IMAGE, {"config": {"digest": "sha512:aa", "size": 1}, "layers": []}),
        (IMAGE, {"config": part(b"") | {"size": -1}, "layers": []}),
        (IMAGE, {"config": part(b"") | {"size": 2**63}, "layers": []}),
        (IMAGE, {"config": part(b"") | {"size": 1.5}, "layers": []}),
        (INDEX, {"config": part(b""), "layers": []}),
        (INDEX, {"manifests": [part(b"", platform="linux")]}),
        # CVE-2021-41190: an image to one, an index to another.
        (IMAGE, {"config": part(b""), "layers": [], "manifests": []}),
        (INDEX, {"manifests": [], "layers": []}),
        (INDEX, {"manifests": [], "config": part(b"")}),
    ],
)
def test_what_cannot_be_read_is_an_error(media_type, document):
    with pytest.raises(UnreadableManifest, match="a manifest"):
        read(document, media_type)


@given(st.binary() | st.just(b"[" * 100_000) | st.just(b'{"config":' * 50_000))
def test_no_bytes_make_it_raise_anything_else(body):
    for media_type in (IMAGE, INDEX):
        try:
            read_descriptors(body, media_type)
        except UnreadableManifest:
            continue


def index(*platforms: str) -> ImageIndex:
    named = [
        Descriptor(Digest.of(name.encode()), 1, Platform(*name.split("/")))
        for name in platforms
    ]
    return ImageIndex((*named, Descriptor(Digest.of(b"nameless"), 1)))


@pytest.mark.parametrize(
    ("platforms", "wanted", "chosen"),
    [
        (["linux/arm64", "linux/amd64"], "linux/amd64", "linux/amd64"),
        (["linux/arm64/v8"], "linux/arm64", "linux/arm64/v8"),
        (["linux/arm64"], "linux/arm64/v8", "linux/arm64"),
        (["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7", "linux/arm/v7"),
        (["windows/amd64"], "linux/amd64", None),
        (["unknown/unknown"], "linux/amd64", None),
        ([], "linux/amd64", None),
    ],
)
def test_the_manifest_for_a_platform_is_chosen(platforms, wanted, chosen):
    found = choose_manifest(index(*platforms), Platform(*wanted.split("/")))
    assert (found and str(found.platform)) == chosen
