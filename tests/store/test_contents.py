"""What was inside an image is found as long as the image is; and what it was before."""

from nixeryd.images.closures import PathInfo
from nixeryd.images.digests import Digest
from nixeryd.images.freshness import Entry
from nixeryd.store.contents import HISTORY
from nixeryd.store.index import StoredManifest
from nixeryd.store.mirrored import UpstreamRepository

CLOSURE = {
    "/nix/store/a-git": PathInfo("/nix/store/a-git", 5, ("/nix/store/b-libc",)),
    "/nix/store/b-libc": PathInfo("/nix/store/b-libc", 7, ()),
}


def digest(number):
    return Digest.of(str(number).encode())


def add_manifest(index, number):
    manifest = StoredManifest(digest(number), "m", (), 1)
    index.add_build(str(number), manifest)
    return manifest.digest


def test_a_closure_is_kept_as_it_was_and_goes_with_its_manifest(index):
    manifest = add_manifest(index, 1)
    index.insides.add(manifest, CLOSURE, {"git": ["/nix/store/a-git"]}, ["careful"])
    found = index.insides.find(manifest)
    assert found.closure == CLOSURE
    assert found.roots == ("/nix/store/a-git",)
    assert found.warnings == ("careful",)
    index.names.forget([str(manifest)], [])
    assert index.insides.find(manifest) is None


def test_a_tags_digests_are_remembered_each_once_and_not_for_ever(index):
    for number in range(HISTORY + 5):
        manifest = add_manifest(index, number)
        for _ in range(2):
            index.set_tag("key", "latest", "git", manifest, float(number))
    index.set_tag("other", "latest", "curl", add_manifest(index, 0), 1.0)
    history = index.insides.history("nix", "git:latest")
    assert len(history) == HISTORY
    assert history[0] == (digest(HISTORY + 4), HISTORY + 4.0)
    assert history[-1] == (digest(5), 5.0)


def test_a_mirrored_tags_digests_too_and_not_that_it_is_gone(index):
    place = UpstreamRepository("docker.io", "library/nginx")
    for number, gone in ((1, False), (1, False), (2, True), (3, False)):
        index.mirrored.set_tag(place, "1", Entry(digest(number), float(number), gone))
    history = index.insides.history("mirrored", "docker.io/library/nginx:1")
    assert [found for found, _ in history] == [digest(3), digest(1)]
