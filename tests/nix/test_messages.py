import pytest
from hypothesis import given, strategies as st

from nixeryd.nix.messages import (
    MAX_CHARACTERS,
    MAX_LINES,
    bounded,
    error_message,
    log_end,
    strip_control,
)

UNFREE = """\
warning: something
\x1b[31;1merror:\x1b[0m Package x-1 has an unfree license, refusing.

       a) To allow it:
         { allowUnfree = true; }

(use '--show-trace' to show detailed location information)
"""
TRACE = """\
error:
       … while evaluating a branch condition

         at /set.nix:1:1:

       error: this is the cause
       at /set.nix:2:2:
"""


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        pytest.param(
            UNFREE,
            "Package x-1 has an unfree license, refusing.\n"
            "a) To allow it:\n  { allowUnfree = true; }",
            id="colours, indentation and advice on flags go",
        ),
        pytest.param(TRACE, "this is the cause\nat /set.nix:2:2:", id="trace"),
        pytest.param("a\n\nb\n", "a\nb", id="no error line"),
        pytest.param("", "", id="nothing"),
        pytest.param("error: one\nerror: two", "two", id="the last error"),
    ],
)
def test_the_error_is_found(stderr, expected):
    assert error_message(stderr.split("\n")) == expected


@given(st.text())
def test_nothing_that_steers_a_terminal_is_left(text):
    clean = strip_control(f"\x1b[1m{text}\x1b]0;title\x07")
    assert not {chr(x) for x in range(32)} - {"\n", "\t"} & set(clean)
    assert "\x1b" not in clean
    assert "\x9b" not in clean


@given(st.text(alphabet="ab \n", max_size=9000))
def test_a_message_is_bounded(text):
    kept = bounded(text)
    assert len(kept) <= MAX_CHARACTERS
    assert kept.count("\n") < MAX_LINES


def test_the_beginning_is_kept():
    kept = bounded("\n".join(map(str, range(100)))).split("\n")
    assert kept[0] == "0"
    assert kept[-1] == "…"


def test_one_long_line_is_cut():
    assert bounded("x" * 5000) == "x" * (MAX_CHARACTERS - 1) + "…"


def test_a_log_is_quoted_at_its_end():
    said = log_end([f"line {number}" for number in range(50)]).split("\n")
    assert (said[0], said[-1], len(said)) == ("> line 30", "> line 49", MAX_LINES)


def test_long_lines_of_a_log_do_not_hide_its_last():
    said = log_end(["x" * 5000] * 20 + ["", "why"]).split("\n")
    assert said[-1] == "> why"
    assert said[0].startswith("> xxx")
    assert said[0].endswith("…")
    assert sum(map(len, said)) < MAX_CHARACTERS + 100
