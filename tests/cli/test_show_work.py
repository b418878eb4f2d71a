"""One line for all that Nix does, whatever it tells in which order."""

import pytest

from nixeryd.cli.show_work import Work, render_transfer

GLIBC = "/nix/store/11111111111111111111111111111111-glibc-2.42"
PYTHON = "/nix/store/22222222222222222222222222222222-python3-3.13"
HELLO = "/nix/store/33333333333333333333333333333333-hello-2.12.drv"


def test_the_line_stays_with_what_began_first():
    work = Work()
    events = [
        {"type": "planned", "builds": 1, "downloads": 2, "size": 9_000_000},
        {"type": "totals", "kind": "downloads", "done": 0, "expected": 2},
        {"type": "totals", "kind": "builds", "done": 0, "expected": 1},
        {"type": "downloading", "path": GLIBC, "done": 0, "expected": 0},
        {"type": "downloading", "path": PYTHON, "done": 10, "expected": 4000},
        {"type": "downloading", "path": GLIBC, "done": 500, "expected": 8000},
        {"type": "downloading", "path": PYTHON, "done": 20, "expected": 4000},
        {"type": "building", "drv": HELLO, "phase": "buildPhase"},
    ]
    assert all(map(work.note, events))
    assert work.line() == (
        "builds 0 of 1, downloads 0 of 2, 0 B of 9.00 MB,"
        " glibc-2.42 500 B of 8.00 kB, hello-2.12 buildPhase"
    )
    work.note({"type": "downloaded", "path": GLIBC})
    work.note({"type": "built", "drv": HELLO})
    assert work.line().endswith(", python3-3.13 20 B of 4.00 kB")
    assert not work.note({"type": "log", "line": ""})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((10, 20), "10 B of 20 B"),
        ((10, 20, 0, None), "10 B of 20 B"),
        ((10, 2000, 100, 19.9), "10 B of 2.00 kB, 100 B/s, 20 s left"),
        ((10, 2000, 1, 1990), "10 B of 2.00 kB, 1 B/s, 33 min left"),
        ((20, 20, 5, 0), "20 B of 20 B, 5 B/s"),
    ],
)
def test_what_is_left_is_said_as_far_as_it_is_known(given, said):
    assert render_transfer(*given) == said
