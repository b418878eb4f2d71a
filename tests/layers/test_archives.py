"""Archives: a layout that is complete, and the same every time."""

import io
import json
import tarfile

import pytest

from nixeryd.images.descriptors import Descriptor
from nixeryd.images.digests import Digest
from nixeryd.images.manifests import MANIFEST_TYPE
from nixeryd.layers.archives import Exported, archive_size, plan_archive

BODIES = {Digest.of(body): body for body in (b"manifest", b"config", b"a" * 512, b"")}
MANIFEST, CONFIG, LAYER, EMPTY = (
    Descriptor(digest, len(body)) for digest, body in BODIES.items()
)


def exported(*layers, name="localhost:5000/shell/git:work", tag="work"):
    return Exported(name, tag, MANIFEST_TYPE, MANIFEST, (CONFIG, *layers))


def written(pieces):
    return b"".join(
        piece if isinstance(piece, bytes) else BODIES[piece.digest] for piece in pieces
    )


@pytest.fixture
def archive():
    body = written(plan_archive(exported(EMPTY, LAYER)))
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        yield archive


def load(archive, name):
    return json.load(archive.extractfile(name))


def test_every_blob_is_under_its_digest(archive):
    for digest, body in BODIES.items():
        assert archive.extractfile(f"blobs/sha256/{digest.hex}").read() == body


def test_the_layout_names_the_manifest_and_the_tag(archive):
    assert load(archive, "oci-layout") == {"imageLayoutVersion": "1.0.0"}
    # To the byte: the same image is the same archive in every version.
    assert archive.extractfile("index.json").read().decode() == (
        '{"manifests":[{"annotations":{'
        '"io.containerd.image.name":"localhost:5000/shell/git:work",'
        '"org.opencontainers.image.ref.name":"work"},'
        f'"digest":"{MANIFEST.digest}","mediaType":"{MANIFEST_TYPE}","size":8}}],'
        '"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}'
    )


def test_anybody_may_read_what_is_unpacked(archive):
    kinds = {(one.name, one.isdir(), one.mode) for one in archive.getmembers()[:6]}
    assert kinds == {
        ("oci-layout", False, 0o644),
        ("index.json", False, 0o644),
        ("manifest.json", False, 0o644),
        ("blobs", True, 0o755),
        ("blobs/sha256", True, 0o755),
        (archive.getnames()[5], False, 0o644),
    }
    assert {one.type for one in archive.getmembers()} == {
        tarfile.REGTYPE,
        tarfile.DIRTYPE,
    }


def test_docker_finds_its_manifest_with_the_layers_in_order(archive):
    (image,) = load(archive, "manifest.json")
    assert image["RepoTags"] == ["localhost:5000/shell/git:work"]
    assert [image["Config"], *image["Layers"]] == [
        f"blobs/sha256/{one.digest.hex}" for one in (CONFIG, EMPTY, LAYER)
    ]


def test_directories_come_before_what_is_in_them(archive):
    names = archive.getnames()
    assert names[3:5] == ["blobs", "blobs/sha256"]
    assert names[5:] == sorted(names[5:])


def test_nothing_in_it_tells_who_made_it_when(archive):
    for member in archive.getmembers():
        owner = (member.uid, member.gid, member.uname, member.gname)
        assert owner == (0, 0, "", "")
        assert member.mtime == 1


def test_a_layer_that_is_there_twice_is_written_once():
    body = written(plan_archive(exported(LAYER, LAYER)))
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        names = archive.getnames()
        assert len(names) == len(set(names))
        assert len(load(archive, "manifest.json")[0]["Layers"]) == 2


def test_the_size_is_told_before():
    pieces = plan_archive(exported(EMPTY, LAYER))
    assert archive_size(pieces) == len(written(pieces))
