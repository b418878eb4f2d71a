"""The terminal: all that the command line prints gets there through here.

The law: what others wrote is text. `Terminal` takes the place of standard output and
standard error, and lets through printable characters, newlines and tabs; all else is
shown escaped (`nixeryd.runtime.plaintext`). So no command has to think of it, and
click's messages and Python's tracebacks are covered too. Our own colours carry a mark
that nobody else can know; click's would be shown escaped.
"""

import io
import os
import re
import sys
from typing import Any, TextIO, cast

import click

from nixeryd.runtime.plaintext import plain

_MARK = f"\x1b{os.urandom(8).hex()}"
_MARKED = re.compile(f"{_MARK}(\\[[0-9;]*m)")


class Terminal(io.TextIOWrapper):
    """A text stream that shows what is not printable."""

    def write(self, text: str, /) -> int:
        """Write text, with colours if they are ours and can be seen."""
        pieces = _MARKED.split(text)  # text, colour, text, …
        is_colored = self.isatty() and not os.environ.get("NO_COLOR")
        for number, piece in enumerate(pieces):
            if number % 2 == 0:
                super().write(plain(piece))
            elif is_colored:
                super().write(f"\x1b{piece}")
        return len(text)

    @property
    def raw(self) -> TextIO:
        """The stream for who makes text plain by other means."""
        return cast("TextIO", _Raw(self))


class _Raw:
    """Writes past the filter of a `Terminal`."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def write(self, text: str) -> int:
        return super(Terminal, self._terminal).write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._terminal, name)


def install() -> None:
    """Have all that is printed from now on go through a `Terminal`."""
    sys.stdout = sys.__stdout__ = _over(sys.stdout)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _over(sys.stderr)  # type: ignore[misc]


def _over(stream: Any) -> Any:
    if type(stream) is not io.TextIOWrapper:  # closed, or a test's
        return stream
    stream.flush()
    line_buffering, write_through = stream.line_buffering, stream.write_through
    return Terminal(
        # click would go round us if it were ASCII.
        encoding="utf-8" if stream.encoding.lower() == "ascii" else stream.encoding,
        buffer=stream.detach(),
        errors="backslashreplace",
        line_buffering=line_buffering,
        write_through=write_through,
    )


def raw(stream: TextIO) -> TextIO:
    """Return the stream below the filter, if there is one."""
    return stream.raw if isinstance(stream, Terminal) else stream


def style(text: str, **how: Any) -> str:
    """Return text in a colour of ours: as `click.style`, and made plain."""
    styled = click.style(plain(text), **how)
    is_filtered = isinstance(sys.stdout, Terminal)
    return styled.replace("\x1b", _MARK) if is_filtered else styled
