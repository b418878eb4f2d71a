"""Orphans: who carries the mark of the same data directory is ended, nobody else."""

import os
import subprocess
import sys

import pytest

from nixeryd.runtime import orphans
from nixeryd.runtime.orphans import MARK, end_orphans

_SAY = "import sys; print('ready', flush=True); sys.stdin.read()"
_STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {_SAY}"


@pytest.fixture
def start():
    started = []

    def start(script=_SAY, **environ):
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            env={**os.environ, **environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout.readline() == b"ready\n"
        return process

    yield start
    for process in started:
        process.communicate()


def test_only_who_worked_for_this_place_is_ended(start, tmp_path, monkeypatch):
    monkeypatch.setenv(MARK, "")  # taken back at the end
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    (tmp_path / "link").symlink_to(here)
    own, other = start(**{MARK: str(here)}), start(**{MARK: str(elsewhere)})
    assert end_orphans(tmp_path / "link") == 1
    assert own.wait() == -15
    assert other.poll() is None
    assert os.environ[MARK] == str(here)
    assert start().args, "what we start from now on carries it"
    assert end_orphans(here) == 1


def test_who_does_not_listen_is_killed(start, tmp_path, monkeypatch):
    monkeypatch.setenv(MARK, "")  # taken back at the end
    monkeypatch.setattr(orphans, "_GRACE", 0.1)
    process = start(_STUBBORN, **{MARK: str(tmp_path)})
    assert end_orphans(tmp_path) == 1
    assert process.wait() == -9
