import hashlib
import io
import os
import re
import stat
import subprocess
import tarfile

import pytest
from hypothesis import given, settings, strategies as st

from nixeryd.layers.tar import FORMAT, TRAILER, Entry, Kind, header, padding

GIB = 1024**3


def archive(*members: tuple[Entry, bytes]) -> bytes:
    parts = []
    for entry, content in members:
        parts += [header(entry), content, padding(len(content))]
    return b"".join([*parts, TRAILER])


def read(data: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data), errorlevel=2) as tar:
        return tar.getmembers()


def golden(**fields: bytes) -> bytes:
    """A header written down field by field, as in the standard's table."""
    layout = {
        "name": 100, "mode": 8, "uid": 8, "gid": 8, "size": 12, "mtime": 12,
        "chksum": 8, "typeflag": 1, "linkname": 100, "magic": 6, "version": 2,
        "uname": 32, "gname": 32, "devmajor": 8, "devminor": 8, "prefix": 155,
        "padding": 12,
    }  # fmt: skip
    values = {
        "uid": b"0000000", "gid": b"0000000", "mtime": b"00000000001",
        "magic": b"ustar", "version": b"00", "devmajor": b"0000000",
        "devminor": b"0000000", "size": b"00000000000", **fields,
    }  # fmt: skip
    # "The chksum field shall be [...] the simple sum of all octets in the header
    # logical record. [...] the chksum field is treated as if it were all <space>s."
    values["chksum"] = b" " * 8
    for _ in range(2):
        block = b"".join(
            values.get(key, b"").ljust(width, b"\0") for key, width in layout.items()
        )
        values["chksum"] = b"%06o\0 " % sum(block)
    return block


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            Entry("nix/store/x-hello/bin/hello", Kind.FILE, 0o555, size=83),
            golden(
                name=b"nix/store/x-hello/bin/hello",
                mode=b"0000555",
                size=b"00000000123",
                typeflag=b"0",
            ),
        ),
        (
            Entry("nix/store", Kind.DIRECTORY, 0o755),
            golden(
                name=b"nix/store/",
                mode=b"0000755",
                typeflag=b"5",
            ),
        ),
        (
            Entry("bin/sh", Kind.SYMLINK, 0o777, target="/nix/store/x-bash/bin/bash"),
            golden(
                name=b"bin/sh",
                mode=b"0000777",
                typeflag=b"2",
                linkname=b"/nix/store/x-bash/bin/bash",
            ),
        ),
    ],
)
def test_a_plain_entry_is_one_ustar_block(entry, expected):
    assert header(entry) == expected


def test_a_pax_record_comes_before_the_entry_it_is_for():
    entry = Entry("naïve", Kind.FILE, 0o444)
    record = b"15 path=na\xc3\xafve\n"
    assert header(entry) == (
        golden(
            name=b"././@PaxHeader",
            mode=b"0000644",
            size=b"00000000017",
            typeflag=b"x",
        )
        + record
        + bytes(512 - len(record))
        + golden(name=b"na?ve", mode=b"0000444", typeflag=b"0")
    )


def test_the_bytes_change_only_with_the_format():
    """Layers are cached under keys that hold FORMAT: raise it if this fails."""
    data = archive(
        (Entry("nix", Kind.DIRECTORY, 0o755), b""),
        (Entry("nix/a", Kind.FILE, 0o444, size=3), b"abc"),
        (Entry("nix/" + "p" * 90 + "/" + "n" * 90, Kind.FILE, 0o555, size=1), b"x"),
        (Entry("nix/é", Kind.SYMLINK, 0o777, target="a" * 120), b""),
        (Entry("nix/big", Kind.FILE, 0o444, size=9 * GIB), b""),
    )
    pinned = {1: "bf187fd4e000f58f30cfdd26d213a825e5e66f902238ebbae79b0bd24db01e1a"}
    assert hashlib.sha256(data).hexdigest() == pinned[FORMAT]


def file(name: str) -> Entry:
    return Entry(name, Kind.FILE, 0o444)


def directory(name: str) -> Entry:
    return Entry(name, Kind.DIRECTORY, 0o555)


@pytest.mark.parametrize(
    ("entry", "blocks"),
    [
        (file("a" * 100), 1),
        (file("a" * 101), 3),
        (file("p" * 155 + "/" + "n" * 100), 1),
        (file("p" * 156 + "/" + "n" * 100), 3),
        (file("p" * 155 + "/" + "n" * 101), 3),
        (file("p/" * 127 + "n"), 1),
        (file("/" + "n" * 100), 3),
        (directory("d" * 99), 1),
        (directory("d" * 100), 3),
        (directory("p/" + "d" * 99), 1),
        (directory("p/" + "d" * 100), 3),
        (Entry("l", Kind.SYMLINK, 0o777, target="t" * 100), 1),
        (Entry("l", Kind.SYMLINK, 0o777, target="t" * 101), 3),
        (Entry("l", Kind.SYMLINK, 0o777, target="é"), 3),
        (Entry("f", Kind.FILE, 0o444, size=8 * GIB - 1), 1),
        (Entry("f", Kind.FILE, 0o444, size=8 * GIB), 3),
        (file("é"), 3),
        (file("x" * 600), 4),
    ],
)
def test_pax_is_used_only_where_ustar_falls_short(entry, blocks):
    data = header(entry)
    assert len(data) == blocks * 512
    (member,) = read(data + TRAILER) if entry.size == 0 else [one(data)]
    assert member.name == entry.name
    assert member.linkname == entry.target
    assert member.size == entry.size


def one(data: bytes) -> tarfile.TarInfo:
    """The header alone, for a file too large to make."""
    with tarfile.open(fileobj=io.BytesIO(data), ignore_zeros=True) as tar:
        member = tar.next()
    assert member is not None
    return member


def test_a_size_of_nine_gibibytes_is_read_back_by_gnu_tar():
    entry = Entry("big", Kind.FILE, 0o444, size=9 * GIB)
    listing = subprocess.run(
        ["tar", "-tvf", "-"], input=header(entry), capture_output=True, check=False
    )
    assert str(9 * GIB).encode() in listing.stdout


@pytest.mark.parametrize("length", range(80, 120))
def test_a_records_length_counts_its_own_digits(length):
    name = "é" + "x" * length
    data = header(file(name))
    record = data[512:].split(b"\n")[0] + b"\n"
    assert int(record.split(b" ")[0]) == len(record)


@pytest.mark.parametrize(
    ("size", "zeros"), [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511), (9 * GIB, 0)]
)
def test_padding_fills_the_last_block(size, zeros):
    assert padding(size) == bytes(zeros)


def test_an_entry_belongs_to_nobody_and_has_no_date():
    (member,) = read(archive((Entry("a", Kind.FILE, 0o100755, size=2), b"hi")))
    assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
    assert member.mtime == 1
    assert member.mode == 0o755


@pytest.mark.parametrize("kind", Kind)
def test_only_a_file_has_a_size_and_only_a_symlink_a_target(kind):
    member = one(header(Entry("a", kind, 0o777, size=99, target="t")))
    assert member.size == (99 if kind is Kind.FILE else 0)
    assert member.linkname == ("t" if kind is Kind.SYMLINK else "")


def test_the_sticky_bit_is_kept():
    (member,) = read(header(Entry("tmp", Kind.DIRECTORY, 0o1777)) + TRAILER)
    assert member.mode == 0o1777


# A file name is any bytes but "/" and NUL; Python shows them as surrogate escapes.
SEGMENT = st.one_of(
    st.sampled_from(["a", "bin", "n" * 99, "n" * 100, "n" * 101, "l" * 255]),
    st.binary(min_size=1, max_size=12)
    .filter(lambda raw: b"/" not in raw and b"\0" not in raw)
    .map(lambda raw: raw.decode("utf-8", "surrogateescape")),
    st.text("aé\n =", min_size=1, max_size=60),
).filter(lambda s: s not in {".", ".."})
PATH = st.lists(SEGMENT, min_size=1, max_size=5).map("/".join)


@st.composite
def members(draw: st.DrawFn) -> list[tuple[Entry, bytes]]:
    result = []
    for name in draw(st.lists(PATH, max_size=8, unique=True)):
        kind = draw(st.sampled_from(Kind))
        mode = draw(st.sampled_from([0o444, 0o555, 0o755, 0o1777]))
        content = draw(st.binary(max_size=1200)) if kind is Kind.FILE else b""
        target = draw(PATH) if kind is Kind.SYMLINK else ""
        result.append((Entry(name, kind, mode, len(content), target), content))
    return result


@given(members())
def test_pythons_tarfile_reads_back_what_was_written(tree):
    data = archive(*tree)
    assert len(data) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(data), errorlevel=2) as tar:
        found = tar.getmembers()
        assert len(found) == len(tree)
        for member, (entry, content) in zip(found, tree, strict=True):
            assert member.name == entry.name
            assert member.type == entry.kind.encode()
            assert member.mode == entry.mode
            assert member.linkname == entry.target
            if entry.kind is Kind.FILE:
                extracted = tar.extractfile(member)
                assert extracted is not None
                assert extracted.read() == content


FILE_TYPES = {
    Kind.FILE: stat.S_IFREG,
    Kind.DIRECTORY: stat.S_IFDIR,
    Kind.SYMLINK: stat.S_IFLNK,
}


@settings(max_examples=40, deadline=None)
@given(members())
def test_gnu_tar_reads_back_what_was_written(tree):
    data = archive(*tree)
    command = ["tar", "--quoting-style=escape", "--absolute-names", "-tvf", "-"]
    listing = subprocess.run(
        command,
        input=data,
        capture_output=True,
        check=True,
        env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
    )
    assert listing.stderr == b""
    lines = listing.stdout.splitlines()
    assert len(lines) == len(tree)
    for line, (entry, _) in zip(lines, tree, strict=True):
        found = re.fullmatch(rb"(\S+) 0/0 +(\d+) 1970-01-01 00:00 (.*)", line)
        assert found is not None
        permissions, size, shown = found.groups()
        assert permissions.decode() == stat.filemode(
            FILE_TYPES[entry.kind] | entry.mode
        )
        assert int(size) == entry.size
        assert (
            shown
            == {
                Kind.FILE: escaped(entry.name),
                Kind.DIRECTORY: escaped(entry.name) + b"/",
                Kind.SYMLINK: escaped(entry.name) + b" -> " + escaped(entry.target),
            }[entry.kind]
        )


def escaped(name: str) -> bytes:
    """GNU tar's --quoting-style=escape in the C locale."""
    special = dict(zip(b"\a\b\t\n\v\f\r\\", b"abtnvfr\\", strict=True))
    return b"".join(
        b"\\%c" % special[byte]
        if byte in special
        else (b"%c" if 32 <= byte < 127 else b"\\%03o") % byte
        for byte in name.encode("utf-8", "surrogateescape")
    )
