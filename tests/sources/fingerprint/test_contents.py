import os
import socket
import time

import msgspec
import pytest

from nixeryd.sources.fingerprint import contents
from nixeryd.sources.fingerprint.contents import MovingError, read_directory, read_file


def look(directory, known=None, changed=frozenset()):
    return read_directory(os.fsencode(directory), known, changed)


def digest(directory):
    return look(directory).digest(b"here")


@pytest.fixture
def directory(tmp_path):
    directory = tmp_path / "directory"
    directory.mkdir()
    (directory / "a.nix").write_text("1")
    (directory / "link").symlink_to("a.nix")
    (directory / "sub").mkdir()
    return directory


CHANGES = {
    "bytes": lambda d: (d / "a.nix").write_text("2"),
    "execute bit": lambda d: (d / "a.nix").chmod(0o744),
    "new file": lambda d: (d / "b").touch(),
    "new directory": lambda d: (d / "b").mkdir(),
    "new pipe": lambda d: os.mkfifo(d / "b"),
    "name": lambda d: (d / "a.nix").rename(d / "b.nix"),
    "link": lambda d: ((d / "link").unlink(), (d / "link").symlink_to("sub")),
    "gone": lambda d: (d / "sub").rmdir(),
    "kind": lambda d: ((d / "sub").rmdir(), (d / "sub").touch()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_nix_can_see_changes_the_digest(directory, change):
    before = digest(directory)
    CHANGES[change](directory)
    assert digest(directory) != before


def test_what_nix_cannot_see_does_not(directory):
    before = digest(directory)
    os.utime(directory / "a.nix", (1, 1))
    (directory / "a.nix").chmod(0o600)
    (directory / ".git").mkdir()
    (directory / "sub" / "below").touch()
    assert digest(directory) == before


def test_the_place_counts(directory):
    assert look(directory).digest(b"x") != look(directory).digest(b"y")


def test_names_need_not_be_text(directory):
    before = digest(directory)
    with open(os.fsencode(directory) + b"/\xff\xfe", "wb"):  # noqa: PTH123  bytes
        pass
    assert digest(directory) != before


def test_no_pipe_or_socket_is_opened(directory):
    os.mkfifo(directory / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "socket"))
        assert look(directory).others == (b"pipe", b"socket")
    with pytest.raises(MovingError):
        read_file(os.fsencode(directory / "pipe"), b"pipe")


@pytest.mark.parametrize("name", ["none", "link", "sub"])
def test_what_is_no_file_any_more_is_moving(directory, name):
    with pytest.raises(MovingError):
        read_file(os.fsencode(directory / name), b"x")


def test_a_directory_that_went_is_moving(directory):
    with pytest.raises(MovingError):
        look(directory / "none")


def test_a_young_file_is_read_again_though_its_stamp_is_the_same(directory):
    """As a write within one tick of the clock leaves it."""
    known = look(directory)
    [file] = known.files
    assert not file.settled
    forged = msgspec.structs.replace(file, digest=b"forged")
    known = contents.Directory(known.stamp, known.settled, (forged,))
    assert look(directory, known).files == (file,)


@pytest.mark.parametrize(
    ("changed", "believed"), [(frozenset(), True), (frozenset({b"a.nix"}), False)]
)
def test_a_settled_file_is_believed_unless_an_event_named_it(
    directory, monkeypatch, changed, believed
):
    monkeypatch.setattr(contents, "SETTLING", -(10**18))
    known = look(directory)
    [file] = known.files
    forged = msgspec.structs.replace(file, digest=b"forged")
    known = contents.Directory(known.stamp, known.settled, (forged,))
    [found] = look(directory, known, changed).files
    assert (found == forged) == believed


@pytest.mark.parametrize("seconds", [-(9**9), -1, 0, 1.99, 2.01])
def test_a_stamp_settles_after_two_seconds(directory, seconds):
    """And that of a file from before the clock was set back: it is never past."""
    status = (directory / "a.nix").stat()
    now = status.st_ctime_ns + int(seconds * 10**9)
    assert contents.is_settled(status, now) == (abs(seconds) > 2)


def test_a_large_file_is_its_stamp_and_no_longer_its_bytes(directory, monkeypatch):
    monkeypatch.setattr(contents, "LARGE", 10)
    monkeypatch.setattr(contents, "SETTLING", -(10**18))
    large = directory / "image"
    large.write_text("x" * 11)
    before = digest(directory)
    assert digest(directory) == before
    with large.open("r+b") as opened:
        opened.write(b"y")
    time.sleep(0.01)  # not to wait for anything: for the clock to tick
    large.touch()
    assert digest(directory) != before


def test_a_large_file_just_written_is_like_nothing_before(directory, monkeypatch):
    monkeypatch.setattr(contents, "LARGE", 10)
    (directory / "image").write_text("x" * 11)
    assert digest(directory) != digest(directory)
