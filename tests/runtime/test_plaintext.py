"""What is not printable is shown, and nothing that is printable is changed."""

import pytest
from hypothesis import given, strategies as st

from nixeryd.runtime.plaintext import indented, one_line, plain

TEXT = st.text(st.characters(), max_size=30)  # lone surrogates among them


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("café 漢字 🐳", "café 漢字 🐳"),
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b]52;c;ZXZpbA==\x07", "\\x1b]52;c;ZXZpbA==\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a\rb\b", "a\\rb\\x08"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("a\xa0b", "a b"),
        ("\u2028", "\\u2028"),
        ("\udcff", "\\udcff"),
        ("\x00\x7f", "\\x00\\x7f"),
    ],
)
def test_what_is_shown(text, shown):
    assert plain(text) == shown


@given(TEXT)
def test_nothing_else_gets_through(text):
    assert plain(text).replace("\n", "").replace("\t", "").isprintable()
    assert one_line(text).isprintable()
    assert plain(plain(text)) == plain(text)
    if text.isprintable():
        assert plain(text) == one_line(text) == text


@given(TEXT)
def test_every_line_but_the_first_is_indented(text):
    _, *rest = indented(text).split("\n")
    assert all(line.startswith("    ") for line in rest)
