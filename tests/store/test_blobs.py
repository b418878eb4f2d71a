import errno
import os
import subprocess

import pytest

from nixeryd.images.digests import Digest
from nixeryd.store.blobs import Blobs, StoreFullError
from nixeryd.store.datadir import open_data_dir


def test_a_committed_blob_is_read_back(blobs):
    digest = Digest.of(b"hello world")
    with blobs.stage() as staged:
        staged.write(b"hello ")
        staged.write(memoryview(b"world"))
        assert blobs.size(digest) is None
        staged.commit(digest)
    assert staged.size == 11
    assert blobs.size(digest) == 11
    assert blobs.read(digest) == b"hello world"
    assert blobs.path(digest).parent.name == digest.hex[:2]


def test_a_large_blob_goes_to_the_disk_in_stretches_and_is_whole(blobs):
    pieces = [os.urandom(1 << 20) for _ in range(20)]
    digest = Digest.of(b"".join(pieces))
    with blobs.stage() as staged:
        for piece in pieces:
            staged.write(piece)
        staged.commit(digest)
    assert Digest.of(blobs.read(digest)) == digest


def test_what_is_not_committed_leaves_nothing(blobs, places):
    with pytest.raises(ValueError, match="stop"), blobs.stage() as staged:  # noqa: PT012
        staged.write(b"half")
        raise ValueError("stop")
    assert list(places.staging.iterdir()) == []
    assert [path for path in places.blobs.rglob("*") if path.is_file()] == []


def test_an_unknown_blob_is_none(blobs):
    digest = Digest.of(b"never stored")
    assert blobs.size(digest) is None
    assert blobs.read(digest) is None
    blobs.discard([digest])


@pytest.mark.parametrize("rotten", [b"mani", b"manifesT"])
def test_put_mends_a_blob_that_is_not_what_it_was(blobs, rotten):
    digest = blobs.put(b"manifest")
    blobs.path(digest).write_bytes(rotten)
    assert blobs.put(b"manifest") == digest
    assert blobs.read(digest) == b"manifest"


def test_a_reader_keeps_a_removed_blob(blobs):
    digest = blobs.put(b"layer")
    with blobs.path(digest).open("rb") as reader:
        blobs.discard([digest])
        assert reader.read() == b"layer"
    assert blobs.size(digest) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_full_disk_is_a_clear_error_and_gives_its_space_back(tmp_path):
    root = tmp_path / "small"
    root.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(root)],
        check=True,
    )
    try:
        with open_data_dir(root) as places:
            blobs = Blobs(places.blobs, places.staging)
            kept = blobs.put(b"kept")
            with (  # noqa: PT012  which write fills the disk is open
                pytest.raises(StoreFullError, match="make room"),
                blobs.stage() as staged,
            ):
                for _ in range(20):
                    staged.write(bytes(100_000))
            assert list(places.staging.iterdir()) == []
            # Nor is what is cut off within one write taken for whole.
            with pytest.raises(StoreFullError), blobs.stage() as staged:
                staged.write(bytes(2_000_000))
            assert blobs.read(kept) == b"kept"
            assert blobs.put(bytes(1000))
    finally:
        subprocess.run(["umount", str(root)], check=True)


def test_other_errors_of_the_disk_stay_what_they_are(blobs):
    with pytest.raises(OSError, match="odd") as caught, blobs.explain_errors():
        raise OSError(errno.EIO, "odd")
    assert caught.value.errno == errno.EIO


def test_what_is_here_is_told(blobs):
    digest = blobs.put(b"here")
    assert digest in blobs
    blobs.discard([digest])
    assert digest not in blobs


def test_blobs_that_cannot_be_listed_are_an_error_and_no_empty_cache(blobs, places):
    (places.blobs / "sha256").rename(places.blobs / "elsewhere")
    assert blobs.listing() == {}
    (places.blobs / "sha256").touch()
    with pytest.raises(NotADirectoryError):
        blobs.listing()
    with pytest.raises(NotADirectoryError):
        blobs.total()
