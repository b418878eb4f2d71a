import json

import pytest
from hypothesis import given, strategies as st

from nixeryd.nix.progress import (
    BuildLog,
    BuildPhase,
    BuildStarted,
    BuildStopped,
    DownloadProgress,
    DownloadStarted,
    DownloadStopped,
    Message,
    ProgressReader,
    Totals,
    TransferStarted,
)
from nixeryd.nix.transfers import Transferred

DRV = "/nix/store/00000000000000000000000000000000-hello-1.0.drv"
PATH = "/nix/store/00000000000000000000000000000000-hello-1.0"


def start(number, kind, *fields):
    more = {"level": 3, "text": "", "fields": fields}
    return {"action": "start", "id": number, "type": kind, **more}


def result(number, kind, *fields):
    return {"action": "result", "id": number, "type": kind, "fields": fields}


def stop(number):
    return {"action": "stop", "id": number}


def read(*entries):
    reader = ProgressReader()
    events = [reader.feed("@nix " + json.dumps(entry)) for entry in entries]
    return [event for event in events if event is not None]


@pytest.mark.parametrize(
    ("entries", "events"),
    [
        pytest.param(
            [
                start(1, 105, DRV, "", 1, 1),
                result(1, 104, "buildPhase"),
                result(1, 101, "\x1b[1mcc\x1b[0m hello.c"),
                stop(1),
            ],
            [
                BuildStarted(DRV),
                BuildPhase(DRV, "buildPhase"),
                BuildLog(DRV, "cc hello.c"),
                BuildStopped(DRV),
            ],
            id="a build",
        ),
        pytest.param(
            [
                start(7, 108, PATH, "https://cache.example"),
                start(8, 100, PATH, "https://cache.example", "local"),
                start(9, 101, "https://cache.example/nar/x"),
                result(9, 105, 10, 100, 0, 0),
                result(8, 105, 4096, 8192, 0, 0),
                stop(9),
                stop(8),
                stop(7),
            ],
            [
                DownloadStarted(PATH, "https://cache.example"),
                TransferStarted("https://cache.example/nar/x"),
                Transferred(10, 10),
                DownloadProgress(PATH, 4096, 8192),
                DownloadStopped(PATH),
            ],
            id="a download, of a Nix that tells of no parents",
        ),
        pytest.param(
            [
                start(2, 104),
                start(3, 103),
                result(2, 105, 1, 5, 2, 0),
                result(3, 105, 0, 9, 4, 0),
            ],
            [Totals("builds", 1, 5, 2, 0), Totals("downloads", 0, 9, 4, 0)],
            id="totals",
        ),
        pytest.param(
            [{"action": "msg", "level": 0, "msg": "\x1b[31;1merror:\x1b[0m no"}],
            [Message(0, "error: no")],
            id="an error",
        ),
        pytest.param(
            [
                {"action": "msg", "level": 0, "msg": "warning: a daemon says so"},
                {"action": "msg", "level": 0, "msg": "error (ignored): no lock"},
                {"action": "msg", "level": 0, "msg": "this, too, comes by a daemon"},
                {"action": "msg", "level": 3, "msg": "error: of little weight"},
            ],
            [
                Message(1, "warning: a daemon says so"),
                Message(1, "error (ignored): no lock"),
                Message(1, "this, too, comes by a daemon"),
                Message(3, "error: of little weight"),
            ],
            id="what is no error, whatever its level",
        ),
        pytest.param(
            [
                start(2, 102),
                result(2, 106, 101, 5000),
                {**start(8, 100, PATH, "https://cache.example", "local")},
                {**start(9, 101, "https://cache.example/nar/x"), "parent": 8},
                {**start(10, 101, "https://cache.example/nar/y"), "parent": 8},
                result(9, 105, 100, 300, 0, 0),
                result(9, 105, 100, 300, 0, 0),
                result(10, 105, 50, 60, 0, 0),
                stop(9),
                result(10, 105, 60, 60, 0, 0),
            ],
            [
                Transferred(0, 5000),
                DownloadStarted(PATH, "https://cache.example"),
                TransferStarted("https://cache.example/nar/x"),
                TransferStarted("https://cache.example/nar/y"),
                Transferred(100, 5000),
                Transferred(150, 5000),
                Transferred(160, 5000),
            ],
            id="bytes of all downloads, and nothing where nothing has moved",
        ),
        pytest.param(
            [
                start(4, 110, DRV),
                result(4, 109, DRV),
                start(5, 999),
                {"action": "tomorrow"},
                result(77, 101, "of nothing known"),
                stop(77),
                {"action": "result", "id": 4},
                start(6, 105),
                [],
            ],
            [],
            id="unknown types and wrong shapes say nothing",
        ),
    ],
)
def test_lines_become_events(entries, events):
    assert read(*entries) == events


def test_other_lines_are_passed_through():
    reader = ProgressReader()
    assert reader.feed("warning: \x1b[1mold\x1b[0m") == Message(3, "warning: old")
    assert reader.feed("   ") is None
    assert reader.feed("@nix {not json") is None


def test_what_has_stopped_is_forgotten():
    reader = ProgressReader()
    reader.feed("@nix " + json.dumps(start(1, 105, DRV)))
    assert repr(reader) == "<ProgressReader [1 running]>"
    reader.feed("@nix " + json.dumps(stop(1)))
    assert repr(reader) == "<ProgressReader [0 running]>"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=5), x),
    max_leaves=5,
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"action": st.sampled_from(["start", "stop", "result", "msg"]) | JSON},
            optional={
                "id": st.integers(0, 3) | JSON,
                "type": st.integers(99, 112) | JSON,
                "fields": st.lists(JSON, max_size=4) | JSON,
                "level": JSON,
                "msg": JSON,
            },
        )
        | JSON
    )
)
def test_no_line_is_an_error(entries):
    read(*entries)
