"""Writeback that is begun early: asked of the kernel, for the part that is meant."""

import sys

import pytest

from nixeryd.store import writeback
from nixeryd.store.writeback import begin_writeback


@pytest.fixture
def asked(monkeypatch):
    """Calls of sync_file_range(2), which are not made."""
    calls = []
    monkeypatch.setattr(writeback, "_call", lambda *call: calls.append(call))
    return calls


def test_the_part_is_asked_for_and_nothing_for_none(asked):
    begin_writeback(7, range(1000, 5000))
    begin_writeback(7, range(5000, 5000))
    assert asked == [(7, 1000, 4000, 2)]  # SYNC_FILE_RANGE_WRITE


def test_where_there_is_no_such_call_nothing_is_begun(monkeypatch):
    monkeypatch.setattr(writeback, "_call", None)
    begin_writeback(7, range(1000))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert writeback._find() is None


@pytest.mark.skipif(sys.platform != "linux", reason="a call of Linux")
def test_the_kernel_takes_places_beyond_two_gibibytes(tmp_path):
    with (tmp_path / "file").open("wb") as file:
        assert writeback._call(file.fileno(), 1 << 31, 5, 2) == 0
        assert writeback._call(-1, 0, 5, 2) == -1
        begin_writeback(-1, range(5))  # is for fsync to say
