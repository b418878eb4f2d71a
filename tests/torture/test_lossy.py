"""The disk that loses: what is safe stays, all else goes in some way or other."""

import os

import pytest

from tests.e2e.conftest import need
from tests.torture.disk import lossy_disk, why_not


@pytest.fixture
def disk(tmp_path):
    need("fusermount3")
    if (reason := why_not()) is not None:
        pytest.xfail(reason)  # a kernel may be without; what is installed is not
    with lossy_disk(tmp_path / "disk", 7) as disk:
        yield disk


def sync(place):
    fd = os.open(place, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def test_what_is_synced_with_its_directories_is_never_lost(disk, tmp_path):
    place = tmp_path / "disk"
    (place / "below").mkdir()
    (place / "file").write_bytes(b"whole" * 5000)
    sync(place / "file")
    (place / "file").rename(place / "below" / "name")
    sync(place / "below")
    sync(place)
    for _ in range(2):
        (place / "below" / "other").write_bytes(b"x")
        disk.cut_power()
        assert (place / "below" / "name").read_bytes() == b"whole" * 5000
        assert not (place / "file").exists()


def test_what_is_not_synced_is_lost_in_every_way_that_may_be(disk, tmp_path):
    whole = b"0123456789abcdef" * 1024
    attempts = [tmp_path / "disk" / str(number) for number in range(60)]
    for attempt in attempts:
        (attempt / "left").mkdir(parents=True)
        (attempt / "right").mkdir()
        (attempt / "left" / "file").write_bytes(whole)
        for place in (attempt, attempt / "left", attempt.parent):
            sync(place)
        (attempt / "left" / "file").rename(attempt / "right" / "file")
    disk.cut_power()
    ways = set()
    for attempt in attempts:
        names = [attempt / side / "file" for side in ("left", "right")]
        found = [name.read_bytes() for name in names if name.exists()]
        ways.add(f"{len(found)} names")
        ways |= {
            "empty" if not body else "whole" if body == whole else "torn"
            for body in found
        }
    assert ways == {"0 names", "1 names", "2 names", "empty", "whole", "torn"}


def test_a_file_that_is_open_and_has_no_name_can_be_read_and_written(disk, tmp_path):
    with (tmp_path / "disk" / "file").open("w+b", buffering=0) as file:
        (tmp_path / "disk" / "file").unlink()
        file.write(b"some")
        assert (os.pread(file.fileno(), 9, 0), os.fstat(file.fileno()).st_size) == (
            b"some",
            4,
        )
    assert list((tmp_path / "disk").iterdir()) == []
