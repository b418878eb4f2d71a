"""What an evaluation says while it goes on: traces, warnings, builds that it needs.

Nix is asked for its JSON log, which tells these apart; whoever reads an evaluation's
words gets them as plain lines all the same. Errors are not passed on: they become the
error of who asked.
"""

import json
from collections import deque
from collections.abc import Sequence
from typing import Final

from nixeryd.nix.progress import ERROR, Event, EventCallback, Message, ProgressReader
from nixeryd.runtime.process import LineCallback

LOG_FORMAT: Final = ("--log-format", "internal-json")
_PREFIX: Final = "@nix "
_OUR_OWN: Final = "trace: nixeryd-"
_KEPT: Final = 400  # lines; a trace of nixpkgs has some hundreds


class Voice:
    """Reads what one evaluation writes to standard error."""

    def __init__(
        self, on_event: EventCallback, on_line: LineCallback | None = None
    ) -> None:
        self._reader = ProgressReader()
        self._on_event = on_event
        self._on_line = on_line
        self._said: deque[str] = deque(maxlen=_KEPT)

    def __repr__(self) -> str:
        return f"<Voice {self._reader!r}>"

    @property
    def said(self) -> Sequence[str]:
        """The last lines, as Nix writes them without its JSON log."""
        return tuple(self._said)

    def hear(self, line: str) -> None:
        """Read a line."""
        for word in words(line):
            self._said.append(word)
            if self._on_line is not None:
                self._on_line(word)
        event = self._reader.feed(line)
        if event is not None and not _is_private(event):
            self._on_event(event)


def words(line: str) -> list[str]:
    """Return the lines of text that a line of the JSON log holds."""
    if not line.startswith(_PREFIX):
        return [line]
    try:
        entry = json.loads(line.removeprefix(_PREFIX))
        return str(entry["msg"]).split("\n") if entry["action"] == "msg" else []
    except (ValueError, LookupError, TypeError):
        return []


def _is_private(event: Event) -> bool:
    return isinstance(event, Message) and (
        event.level == ERROR or event.text.startswith(_OUR_OWN)
    )
