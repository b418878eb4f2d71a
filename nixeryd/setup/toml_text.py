"""Change a TOML document so that all else stays as it was written. Pure.

Every change is tried in a few ways, the least intrusive first: a new line under
the table's header, a new table at the end, a value changed in place by tomlkit.
A way counts only if the result, read by tomllib, is exactly the old data with
that change, and no comment is gone. If none counts, nothing is changed and the
error says so: a file that is refused is better than one that is damaged.

https://toml.io/en/v1.0.0
"""

import copy
import difflib
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from nixeryd.setup.errors import ParseError, SetupError

Value = str | bool
Table = dict[str, Any]
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PLACE = re.compile(r"(.*) \(at line (\d+), column (\d+)\)")


def parse(text: str) -> Table:
    """Read a document; raises `ParseError`."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _PLACE.fullmatch(str(error))
        if match:
            what, line, column = match.groups()
            raise ParseError(f"not TOML: {what}", int(line), int(column)) from error
        lines = text.split("\n")
        what = str(error).removesuffix(" (at end of document)")
        raise ParseError(f"not TOML: {what}", len(lines), len(lines[-1]) + 1) from error
    except RecursionError as error:
        raise ParseError("not TOML: nested too deep", 1, 1) from error


def lookup(data: Mapping[str, Any], path: Sequence[str]) -> Any:
    """Return what is at a path of tables, or None."""
    at: Any = data
    for name in path:
        if not isinstance(at, Mapping) or name not in at:
            return None
        at = at[name]
    return at


def set_value(text: str, path: Sequence[str], value: Value) -> str:
    """Set the key at the end of `path`; raises `ParseError`, `SetupError`."""

    def assign(table: Any, key: str) -> None:
        table[key] = value

    return _change(text, path, assign, _render(value))


def put_first(text: str, path: Sequence[str], item: str) -> str:
    """Make `item` the first of a list, which need not be there yet."""
    there = lookup(parse(text), path)
    if there is not None and not isinstance(there, list):
        raise SetupError(f"{dotted(path)} is not a list")

    def assign(table: Any, key: str) -> None:
        if key in table:
            table[key].insert(0, item)
        else:
            table[key] = [item]

    new = _change(text, path, assign, f"[{_render(item)}]")
    # tomlkit puts no blank after the comma.
    close, wide = f'[{_render(item)},"', f'[{_render(item)}, "'
    return new if close in text else new.replace(close, wide, 1)


def append(text: str, block: str) -> str:
    """Put a block of lines at the end, after an empty line; no check is made."""
    if not text.strip():
        return block + text
    end = "\n" if text.endswith("\n") else ""
    gap = "" if text.endswith("\n\n") else "\n"
    return f"{text}{'' if end else chr(10)}{gap}{block.removesuffix(chr(10))}{end}"


def header(path: Sequence[str], *, array: bool = False) -> str:
    """Return the line that opens a table."""
    return f"[[{dotted(path)}]]" if array else f"[{dotted(path)}]"


def dotted(path: Sequence[str]) -> str:
    """Return a dotted key, quoted where it must be."""
    return ".".join(name if _BARE.fullmatch(name) else _render(name) for name in path)


def headers(text: str) -> Iterator[tuple[int, tuple[str, ...], bool]]:
    """Find header lines: (number from 0, path, whether of an array of tables).

    A line inside a multi-line value may look like one; who uses this checks
    the outcome with `checked`.
    """
    for number, line in enumerate(text.split("\n")):
        if not line.lstrip().startswith("["):
            continue
        try:
            data: Any = tomllib.loads(line)
        except tomllib.TOMLDecodeError:
            continue
        path: list[str] = []
        while isinstance(data, dict) and data:
            name, data = next(iter(data.items()))
            path.append(name)
        yield number, tuple(path), isinstance(data, list)


def checked(old: str, new: str, expected: Table) -> bool:
    """Say whether `new` is `old` with just this change and every comment kept."""
    try:
        if tomllib.loads(new) != expected:
            return False
    except tomllib.TOMLDecodeError:
        return False

    lost = _lines_not_in(old.split("\n"), new.split("\n"))
    return len(lost) <= 1 and all(
        line.partition("#")[2] in new for line in lost if "#" in line
    )


def _change(
    text: str, path: Sequence[str], assign: Callable[[Any, str], None], shown: str
) -> str:
    data = parse(text)
    expected = copy.deepcopy(data)
    *tables, key = path
    at: Any = expected
    for name in tables:
        at = at.setdefault(name, {}) if isinstance(at, dict) else None
    if not isinstance(at, dict):
        raise SetupError(f"{dotted(tables)} is not a table")
    exists = key in at
    assign(at, key)
    line = f"{dotted([key])} = {shown}"
    ways: list[Callable[[], str | None]] = [lambda: _in_place(text, path, assign)]
    if not exists:
        ways = [
            lambda: _under_header(text, tables, line),
            lambda: append(text, f"{header(tables)}\n{line}\n") if tables else None,
            lambda: _at_top(text, line) if not tables else None,
            *ways,
        ]
    for way in ways:
        new = way()
        if new is not None and checked(text, new, expected):
            return new
    raise SetupError(
        f"{dotted(path)} cannot be set without rewriting what is there;"
        f" set it by hand: {line}"
    )


def _under_header(text: str, tables: Sequence[str], line: str) -> str | None:
    lines = text.split("\n")
    for number, path, is_array in headers(text):
        if path == tuple(tables) and not is_array:
            follower = lines[number + 1] if number + 1 < len(lines) else ""
            model = follower if "=" in follower else lines[number]
            indent = model[: len(model) - len(model.lstrip())]
            return "\n".join(
                [*lines[: number + 1], indent + line, *lines[number + 1 :]]
            )
    return None


def _at_top(text: str, line: str) -> str:
    """Put a line where no table has begun, under the comments of the file."""
    lines = text.split("\n")
    first = next((n for n, _, _ in headers(text)), len(lines) - 1)
    while first and not lines[first - 1].strip():
        first -= 1
    return "\n".join([*lines[:first], line, *lines[first:]])


def _in_place(
    text: str, path: Sequence[str], assign: Callable[[Any, str], None]
) -> str | None:
    *tables, key = path
    try:
        document = tomlkit.parse(text)
        at: Any = document
        for name in tables:
            at = at[name]
        assign(at, key)
        return tomlkit.dumps(document)
    except (TOMLKitError, TypeError, ValueError, AttributeError):
        return None


def _lines_not_in(old: list[str], new: list[str]) -> list[str]:
    """Return the old lines that are changed or gone."""
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    changed = (code for code in matcher.get_opcodes() if code[0] != "equal")
    return [line for _, i1, i2, _, _ in changed for line in old[i1:i2]]


def _render(value: Value) -> str:
    # A JSON string is a TOML string too, but for what no address or path has.
    return json.dumps(value, ensure_ascii=False)
