import io
import tarfile

import pytest
from hypothesis import given, strategies as st

from nixeryd.builder.forest import NodeKind, build_forest
from nixeryd.layers import tar, thin
from nixeryd.layers.tar import Entry, Kind

A, B, C = (f"/nix/store/{letter * 32}-{letter}" for letter in "abc")
PREFIX = "containerd.io/snapshot/"
PATHS = st.sets(st.integers(0, 10**9).map(lambda n: f"/nix/store/{n:032}-n"))


def test_the_layer_has_a_mount_point_for_each_path_and_the_links():
    listing = {A: {"bin": NodeKind.DIRECTORY}, f"{A}/bin": {"a": NodeKind.LEAF}}
    forest = build_forest([A], lambda path: listing.get(path, {}))
    entries = thin.layer_entries([C, A, B], forest, lambda path: path != B)
    assert entries == (
        Entry("bin", Kind.DIRECTORY, 0o755),
        Entry("bin/a", Kind.SYMLINK, 0o777, target=f"{A}/bin/a"),
        Entry("etc", Kind.DIRECTORY, 0o755),
        Entry("nix", Kind.DIRECTORY, 0o755),
        Entry("nix/store", Kind.DIRECTORY, 0o755),
        Entry(A[1:], Kind.DIRECTORY, 0o755),
        Entry(B[1:], Kind.FILE, 0o555),
        Entry(C[1:], Kind.DIRECTORY, 0o755),
        Entry("tmp", Kind.DIRECTORY, 0o1777),
    )


@given(PATHS)
def test_the_layer_is_an_archive_that_python_reads(paths):
    entries = thin.layer_entries(paths, build_forest([], lambda _: {}), lambda _: True)
    archive = b"".join(map(tar.header, entries)) + tar.TRAILER
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        names = opened.getnames()
    assert {f"/{name}" for name in names if name.count("/") == 2} == paths
    assert len(names) == len({*names})


def test_both_generations_of_annotations_say_the_same():
    assert dict(thin.annotations("/nix/store/x-closure-list", [C, A, B])) == {
        f"{PREFIX}nix-closure": "/nix/store/x-closure-list",
        f"{PREFIX}nix-layer": "true",
        f"{PREFIX}nix-store-path.0": A,
        f"{PREFIX}nix-store-path.1": B,
        f"{PREFIX}nix-store-path.2": C,
    }


def test_an_annotation_may_have_4096_bytes_and_no_more():
    key = f"{PREFIX}nix-store-path.0"
    longest = "/" + "x" * (4096 - len(key) - 1)
    assert (key, longest) in thin.annotations(C, [longest])
    with pytest.raises(ValueError, match="over 4096 bytes"):
        thin.annotations(C, [longest + "x"])


@given(PATHS)
def test_the_list_is_an_archive_of_one_file(paths):
    with tarfile.open(fileobj=io.BytesIO(thin.list_archive(paths))) as opened:
        (member,) = opened.getmembers()
        text = opened.extractfile(member).read().decode()
    assert member.name == "store-paths"
    assert text.split() == sorted(paths)
    assert not text or text.endswith("\n")
