r"""A text's outward shape: byte order mark, line endings, last line. Pure.

Edits are made on plain text with "\n"; afterwards every line that was there
gets exactly its old ending back, and new lines get the file's usual one.
"""

import difflib
from collections.abc import Callable

from nixeryd.setup.errors import ParseError

_BOM = "\ufeff"


def decode(data: bytes) -> str:
    """Decode UTF-8, keeping a byte order mark; raises `ParseError`."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise ParseError("not UTF-8", line, column) from error


def edit(text: str, change: Callable[[str], str]) -> str:
    """Apply a change that knows no BOM and no CRLF to a text that may have them."""
    bom = _BOM if text.startswith(_BOM) else ""
    old = text.removeprefix(_BOM)
    plain = old.replace("\r\n", "\n")
    new = change(plain)
    if new == plain:
        return text
    return bom + (new if plain == old else _with_endings_of(old, new))


def newline(text: str) -> str:
    r"""Return the usual line ending of a text: what most lines have, else "\n"."""
    crlf = text.count("\r\n")
    return "\r\n" if crlf > text.count("\n") - crlf else "\n"


def _with_endings_of(old: str, new: str) -> str:
    usual = newline(old)
    before = _split(old)
    after = _split(new)
    merged: list[tuple[str, str]] = []
    matcher = difflib.SequenceMatcher(
        None, [line for line, _ in before], [line for line, _ in after], autojunk=False
    )
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            merged += before[i1:i2]
        else:
            merged += [(line, usual) for line, _ in after[j1:j2]]
    # The old last line may have had no end, and may have lines after it now.
    whole = "".join(line + (end or usual) for line, end in merged)
    if new.endswith("\n"):
        return whole
    return whole.removesuffix("\n").removesuffix("\r")


def _split(text: str) -> list[tuple[str, str]]:
    *lines, last = text.split("\n")
    pairs = [
        (line.removesuffix("\r"), "\r\n" if line.endswith("\r") else "\n")
        for line in lines
    ]
    return [*pairs, (last, "")] if last else pairs
