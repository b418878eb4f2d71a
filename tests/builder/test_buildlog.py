"""Logs of builds: one for each image, and not too many."""

import os

import pytest

from nixeryd.builder import buildlog
from nixeryd.builder.buildlog import BuildLog
from nixeryd.images.errors import RegistryError
from tests.builder.conftest import open_builder


def write(directory, name, text="a line"):
    with BuildLog.of_image(directory, name) as log:
        log.write(text)
    return log.path


def test_the_logs_that_were_written_longest_ago_go(tmp_path, monkeypatch):
    monkeypatch.setattr(buildlog, "KEPT", 3)
    paths = []
    for number in range(6):
        paths.append(write(tmp_path, f"image{number}"))
        os.utime(paths[-1], (number, number))
    write(tmp_path, "image3")  # anew
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "image3.log",
        "image4.log",
        "image5.log",
    ]


def test_logs_of_a_clock_that_was_set_back_push_out_no_others(tmp_path, monkeypatch):
    monkeypatch.setattr(buildlog, "KEPT", 2)
    for number in (4_000_000_001, 4_000_000_002):
        path = write(tmp_path, f"late{number}")
        os.utime(path, (number, number))
    write(tmp_path, "new")
    assert {path.name for path in tmp_path.iterdir()} == {
        "new.log",
        "late4000000002.log",
    }


def test_large_logs_are_fewer(tmp_path, monkeypatch):
    monkeypatch.setattr(buildlog, "KEPT_BYTES", 1000)
    old = write(tmp_path, "old", "x" * 600)
    os.utime(old, (1, 1))
    new = write(tmp_path, "new", "x" * 600)
    assert list(tmp_path.iterdir()) == [new]


def test_names_that_differ_at_the_end_only_have_logs_of_their_own(tmp_path):
    long = "/".join(["component"] * 30)
    assert write(tmp_path, long + "1") != write(tmp_path, long + "2")
    assert len(list(tmp_path.iterdir())) == 2


def test_what_says_nothing_has_no_log_not_even_that_of_the_last_build(tmp_path):
    path = write(tmp_path, "image")
    with BuildLog.of_image(tmp_path, "image"):
        pass
    assert not path.exists()


async def test_a_name_that_means_no_package_leaves_no_log_and_is_no_failed_build(
    nix, write_set, tmp_path
):
    """Ten thousand of them would drive out what is worth keeping."""
    source = write_set('bad = make "bad" "exit 1";')
    async with open_builder(nix, source, tmp_path / "data") as builder:
        for name in ("bad", "no-such-package"):
            with pytest.raises(RegistryError):
                await builder.manifest((name,), "latest")
        (kept,) = builder.history.all()
        assert kept.repository == "bad"
        assert [log.name for log in (tmp_path / "data" / "logs").iterdir()] == [
            "bad.log"
        ]


def test_the_daemons_own_log_gets_the_first_lines_only(tmp_path, monkeypatch):
    monkeypatch.setattr(buildlog, "ECHOED", 3)
    said = []
    echo = buildlog.Echo(lambda _, line: said.append(line), tmp_path / "image.log")
    for line in "abcde":
        echo.add(line)
    assert said == ["a", "b", f"[the rest: {tmp_path}/image.log]"]
