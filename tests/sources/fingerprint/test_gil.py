import pytest

from nixeryd.sources.fingerprint import gil
from nixeryd.sources.fingerprint.gil import GilYielder


class StopError(Exception):
    pass


def stop():
    raise StopError


def test_a_long_loop_is_stopped_at_a_rest(monkeypatch):
    monkeypatch.setattr(gil, "_WORK", 0)
    with pytest.raises(StopError):
        GilYielder(stop)()


def test_a_short_loop_has_no_rest(monkeypatch):
    monkeypatch.setattr(gil, "_WORK", 3600)
    checkpoint = GilYielder(stop)
    for _ in range(1000):
        checkpoint()


def test_a_rest_needs_nothing_to_check(monkeypatch):
    monkeypatch.setattr(gil, "_WORK", 0)
    GilYielder()()
