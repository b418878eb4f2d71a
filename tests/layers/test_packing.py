import gzip
import hashlib
import io
import os
import stat
import tarfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings, strategies as st

from nixeryd.images.digests import Digest
from nixeryd.layers import tar
from nixeryd.layers.hashing import CHUNK
from nixeryd.layers.packing import PackingError, pack_entries, pack_store_paths


class Bytes:
    def __init__(self):
        self.data = bytearray()

    def write(self, data):
        self.data += data


@pytest.fixture
def store_path(tmp_path):
    """A tree with everything that a store path may hold."""
    root = tmp_path / "abc-package"
    (root / "bin").mkdir(parents=True)
    (root / "share" / "empty").mkdir(parents=True)
    (root / "bin" / "program").write_bytes(os.urandom(3 * CHUNK + 77))
    (root / "bin" / "program").chmod(0o555)
    (root / "bin" / "link").symlink_to("program")
    (root / "share" / "text").write_text("text\n")
    (root / "share" / "text").chmod(0o444)
    (root / "share" / "nothing").touch()
    (root / "share" / "block").write_bytes(bytes(512))
    (root / "share" / ("long-" * 40)).write_text("a name beyond ustar")
    (root / "share" / "grüße").write_text("beyond ASCII")
    (root / "bin").chmod(0o555)
    return root


def pack(paths, compression="none"):
    sink = Bytes()
    packed = pack_store_paths([str(path) for path in paths], sink, compression)
    return packed, bytes(sink.data)


def read(data):
    """Read a tar back with Python's own reader: name -> what it holds."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            assert member.name not in found, "an entry twice"
            assert (member.uid, member.gid, member.mtime) == (0, 0, 1)
            content = archive.extractfile(member).read() if member.isreg() else None
            found["/" + member.name] = (
                member.type,
                member.mode,
                member.linkname,
                content,
            )
    return found


def on_disk(root):
    found = {}
    for path in [root, *root.rglob("*")]:
        status = path.lstat()
        mode = stat.S_IMODE(status.st_mode)
        if path.is_symlink():
            found[str(path)] = (tarfile.SYMTYPE, mode, str(path.readlink()), None)
        elif path.is_dir():
            found[str(path)] = (tarfile.DIRTYPE, mode, "", None)
        else:
            found[str(path)] = (tarfile.REGTYPE, mode, "", path.read_bytes())
    return found


def test_a_layer_holds_its_store_paths_bit_for_bit_and_their_parents(store_path):
    _, data = pack([store_path])
    want = on_disk(store_path)
    for parent in store_path.parents:
        if parent != Path("/"):
            want[str(parent)] = (tarfile.DIRTYPE, 0o755, "", None)
    assert read(data) == want


def test_digests_are_those_of_the_bytes(store_path):
    packed, data = pack([store_path])
    assert packed.digest == packed.diff_id == Digest.of(data)
    assert packed.size == len(data)


@pytest.mark.parametrize(
    ("compression", "decompress"),
    [
        ("gzip", gzip.decompress),
        (
            "zstd",
            lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
        ),
    ],
)
def test_compressed_layers_have_both_digests(store_path, compression, decompress):
    plain, tar_bytes = pack([store_path])
    packed, blob = pack([store_path], compression)
    assert decompress(blob) == tar_bytes
    assert packed.diff_id == plain.digest
    assert packed.digest == Digest.of(blob)
    assert packed.size == len(blob)


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_packing_again_gives_the_same_bytes(store_path, compression):
    first = pack([store_path], compression)
    (store_path / "share" / "text").touch()
    os.utime(store_path, (1e9, 1e9))
    assert pack([store_path], compression) == first


def test_the_order_of_paths_makes_no_difference(tmp_path):
    for name in ("b", "a", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    paths = [tmp_path / name for name in "abc"]
    assert pack(paths) == pack(reversed(paths))


def test_a_store_path_may_be_a_file_or_a_link(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    _, data = pack([tmp_path / "file", tmp_path / "link"])
    found = read(data)
    assert found[f"{tmp_path}/file"][3] == b"x"
    assert found[f"{tmp_path}/link"][2] == "file"


def test_hard_links_are_files_of_their_own(tmp_path):
    """The store may be optimised or not; the digest must not tell."""
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a").write_text("same")
    (tmp_path / "x" / "b").write_text("same")
    apart = pack([tmp_path / "x"])
    (tmp_path / "x" / "b").unlink()
    os.link(tmp_path / "x" / "a", tmp_path / "x" / "b")
    assert pack([tmp_path / "x"]) == apart


def test_a_missing_store_path_is_a_clear_error(tmp_path):
    with pytest.raises(PackingError, match="garbage-collected"):
        pack([tmp_path / "gone"])


def test_what_no_store_holds_is_a_clear_error(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(PackingError, match="no file, directory or link"):
        pack([tmp_path / "fifo"])


def test_a_file_that_shrinks_while_it_is_read_is_an_error(tmp_path):
    large = tmp_path / "large"
    large.write_bytes(bytes(2 * CHUNK))
    calls = 0

    def shrink():
        nonlocal calls
        calls += 1
        if calls == 2:
            os.truncate(large, CHUNK)

    with pytest.raises(PackingError, match=r"large .*has \d+ bytes less"):
        pack_store_paths([str(large)], Bytes(), "none", shrink)


def test_packing_stops_where_it_is_told_to(store_path):
    class StopError(Exception):
        pass

    def stop():
        raise StopError

    with pytest.raises(StopError):
        pack_store_paths([str(store_path)], Bytes(), "none", stop)


def test_an_unknown_compression_is_an_error(store_path):
    with pytest.raises(PackingError, match="lzma"):
        pack([store_path], "lzma")


def test_entries_without_content_become_a_layer():
    entries = [
        tar.Entry("bin", tar.Kind.DIRECTORY, 0o755),
        tar.Entry("bin/sh", tar.Kind.SYMLINK, 0o777, target="/nix/store/x/bin/sh"),
    ]
    sink = Bytes()
    packed = pack_entries(entries, sink, "none")
    assert packed.digest.hex == hashlib.sha256(sink.data).hexdigest()
    assert list(read(bytes(sink.data))) == ["/bin", "/bin/sh"]


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(
        st.one_of(
            st.integers(0, 2000),
            st.sampled_from([CHUNK - 1, CHUNK, CHUNK + 1, 511, 512, 513]),
        ),
        max_size=12,
    )
)
def test_any_mix_of_sizes_reads_back(tmp_path_factory, sizes):
    root = tmp_path_factory.mktemp("store") / "x"
    root.mkdir()
    for number, size in enumerate(sizes):
        (root / f"f{number:03}").write_bytes(bytes([number + 1]) * size)
    _, data = pack([root])
    assert len(data) % 512 == 0
    found = read(data)
    for number, size in enumerate(sizes):
        assert found[f"{root}/f{number:03}"][3] == bytes([number + 1]) * size
