"""Add to a JSON document by inserting text; nothing that is there is touched. Pure.

The old document is always the new one with some characters taken out, so no
key, no order, no indentation and no number's spelling can be lost. JSON here is
RFC 8259 as Go's encoding/json reads it (the last of equal keys counts).

https://www.rfc-editor.org/rfc/rfc8259
"""

import json
import re
from dataclasses import dataclass

from nixeryd.setup.errors import ParseError
from nixeryd.setup.lines import newline

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SCALAR = re.compile(r"[^ \t\r\n,\]}]+")
_NESTING = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')


@dataclass(frozen=True, slots=True)
class _Member:
    """One `"key": value` by the places of its parts."""

    key: str
    key_start: int
    key_end: int
    start: int  # of the value
    end: int


def parse(text: str) -> dict[str, object]:
    """Read a document whose top is an object; raises `ParseError`."""
    try:
        # Numbers stay text: their size is no business of ours.
        data = json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise ParseError(f"not JSON: {error.msg}", error.lineno, error.colno) from error
    except RecursionError as error:
        raise ParseError("not JSON: nested too deep", 1, 1) from error
    if not isinstance(data, dict):
        start = _space(text, 0)
        raise ParseError("not a JSON object", *_place(text, start))
    return data


def put_first(text: str, key: str, item: str) -> str:
    """Make `item` the first of the top object's list `key`; both are plain text.

    A missing key or an empty document becomes one. Raises `ParseError`.
    """
    rendered = json.dumps(item)
    if not text.strip(" \t\r\n"):
        nl = newline(text)
        document = f"{{{nl}  {json.dumps(key)}: [{rendered}]{nl}}}"
        return document + (text or nl)
    parse(text)
    opening = _space(text, 0)
    members = _members(text, opening)
    found = [member for member in members if member.key == key]
    if not found:
        return _add_member(
            text, opening, members, f"{json.dumps(key)}", f"[{rendered}]"
        )
    value = found[-1]
    if text[value.start] != "[":
        raise ParseError(f"{key!r} is not a list", *_place(text, value.start))
    return _add_item(text, value.start, rendered)


def _refuse(constant: str) -> object:
    raise json.JSONDecodeError(f"{constant} is no JSON value", constant, 0)


def _space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _place(text: str, at: int) -> tuple[int, int]:
    return text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1


def _value_end(text: str, start: int) -> int:
    """Find the end of a value of a valid document, whatever its depth."""
    if text[start] not in '[{"':
        match = _SCALAR.match(text, start)
        return match.end() if match else start
    depth = 0
    for match in _NESTING.finditer(text, start):
        token = match.group()
        depth += (token in ("[", "{")) - (token in ("]", "}"))
        if depth == 0:
            return match.end()
    raise AssertionError(f"the document was checked, but {start} has no end")


def _members(text: str, opening: int) -> list[_Member]:
    members: list[_Member] = []
    at = _space(text, opening + 1)
    while text[at] != "}":
        key = _STRING.match(text, at)
        assert key is not None  # noqa: S101  the document was checked
        start = _space(text, _space(text, key.end()) + 1)
        end = _value_end(text, start)
        members.append(_Member(json.loads(key.group()), at, key.end(), start, end))
        at = _space(text, end)
        if text[at] == ",":
            at = _space(text, at + 1)
    return members


def _add_member(
    text: str, opening: int, members: list[_Member], key: str, value: str
) -> str:
    if not members:
        at = _space(text, opening + 1)
        nl = newline(text)
        if "\n" in text[opening + 1 : at]:
            return _insert(text, opening + 1, f"{nl}  {key}: {value}")
        return _insert(text, at, f"{nl}  {key}: {value}{nl}")
    last = members[-1]
    colon = text[last.key_end : last.start]
    if "\n" in colon:
        colon = ": "
    before = [_space_before(text, member.key_start) for member in members]
    separator = next((run for run in reversed(before) if "\n" in run), before[-1])
    if not separator and colon.endswith(" "):
        separator = " "
    return _insert(text, last.end, f",{_one_line(separator)}{key}{colon}{value}")


def _add_item(text: str, opening: int, item: str) -> str:
    first = _space(text, opening + 1)
    if text[first] == "]":
        return _insert(text, opening + 1, item)
    separator = text[opening + 1 : first]
    if "\n" not in separator:
        comma = _space(text, _value_end(text, first))
        if text[comma] == ",":
            separator = text[comma + 1 : _space(text, comma + 1)]
        else:
            separator = " "
    return _insert(text, first, f"{item},{_one_line(separator)}")


def _space_before(text: str, at: int) -> str:
    return text[len(text[:at].rstrip(" \t\r\n")) : at]


def _one_line(run: str) -> str:
    """Keep one line end of a run of blanks: blank lines are not a style."""
    if "\n" not in run:
        return run
    nl = "\r\n" if "\r\n" in run else "\n"
    return nl + run[run.rindex("\n") + 1 :]


def _insert(text: str, at: int, added: str) -> str:
    return text[:at] + added + text[at:]
