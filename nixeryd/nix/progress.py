"""Nix's `--log-format internal-json`, read into events.

The format is not promised to anybody (libutil/logging.cc), so: unknown types
are left out, wrong shapes too, and lines that are no JSON are passed through as
messages. Activities have an id when they start and only the id afterwards;
`ProgressReader` remembers which is which.

Pure: lines in, events out.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nixeryd.nix.messages import strip_control

_PREFIX = "@nix "

# Activity and result types (enum ActivityType, ResultType). 109 and 110 mean
# other things in Determinate Nix and are not read.
_COPY_PATH, _BUILDS, _BUILD, _COPY_PATHS = 100, 104, 105, 103
_LOG_LINE, _PHASE, _PROGRESS = 101, 104, 105


@dataclass(frozen=True, slots=True)
class BuildStarted:
    drv: str


@dataclass(frozen=True, slots=True)
class BuildStopped:
    """The build has ended, well or not."""

    drv: str


@dataclass(frozen=True, slots=True)
class BuildPhase:
    drv: str
    phase: str


@dataclass(frozen=True, slots=True)
class BuildLog:
    """One line of a builder's log."""

    drv: str
    line: str


@dataclass(frozen=True, slots=True)
class DownloadStarted:
    """A store path comes from a cache or another store."""

    path: str
    origin: str


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """`done` of `expected` bytes of NAR; `expected` 0 is unknown."""

    path: str
    done: int
    expected: int


@dataclass(frozen=True, slots=True)
class DownloadStopped:
    path: str


@dataclass(frozen=True, slots=True)
class Totals:
    """How many builds or downloads there are in all, as far as Nix knows."""

    kind: str  # "builds" or "downloads"
    done: int
    expected: int
    running: int
    failed: int


@dataclass(frozen=True, slots=True)
class Message:
    """Something Nix says. `level` 0 is an error, 1 a warning, 3 and more news."""

    level: int
    text: str


Event = (
    BuildStarted
    | BuildStopped
    | BuildPhase
    | BuildLog
    | DownloadStarted
    | DownloadProgress
    | DownloadStopped
    | Totals
    | Message
)
EventCallback = Callable[[Event], None]

_NEWS = 3
# Characters. Builds keep hundreds of events, and a builder may say anything.
_LONGEST_LINE = 4000
_LONGEST_PHASE = 100
_LONGEST = 16_000  # a message with all its traces


class ProgressReader:
    """Reads one Nix process's lines; keeps what is going on between them."""

    def __init__(self) -> None:
        self._activities: dict[int, tuple[int, str]] = {}  # id: (type, subject)

    def __repr__(self) -> str:
        return f"<ProgressReader [{len(self._activities)} running]>"

    def feed(self, line: str) -> Event | None:
        """Read one line of standard error; None if it says nothing to us."""
        if not line.startswith(_PREFIX):
            text = _line(line)
            return Message(_NEWS, text) if text.strip() else None
        try:
            return self._read(json.loads(line.removeprefix(_PREFIX)))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            return None

    def _read(self, entry: dict[str, Any]) -> Event | None:
        match entry["action"]:
            case "start":
                return self._start(entry)
            case "stop":
                return self._stop(int(entry["id"]))
            case "result":
                return self._result(entry)
            case "msg":
                return Message(int(entry["level"]), _line(str(entry["msg"]), _LONGEST))
        return None

    def _start(self, entry: dict[str, Any]) -> Event | None:
        kind = entry["type"]
        if kind in (_BUILDS, _COPY_PATHS):
            self._activities[entry["id"]] = (kind, "")
        elif kind in (_BUILD, _COPY_PATH):
            subject = str(entry["fields"][0])
            self._activities[entry["id"]] = (kind, subject)
            if kind == _BUILD:
                return BuildStarted(subject)
            return DownloadStarted(subject, str(entry["fields"][1]))
        return None

    def _stop(self, number: int) -> Event | None:
        kind, subject = self._activities.pop(number, (0, ""))
        if kind == _BUILD:
            return BuildStopped(subject)
        if kind == _COPY_PATH:
            return DownloadStopped(subject)
        return None

    def _result(self, entry: dict[str, Any]) -> Event | None:
        kind, subject = self._activities[entry["id"]]
        fields = entry["fields"]
        match kind, entry["type"]:
            case (105, 101):
                return BuildLog(subject, _line(str(fields[0])))
            case (105, 104):
                return BuildPhase(subject, _line(str(fields[0]), _LONGEST_PHASE))
            case (100, 105):
                return DownloadProgress(subject, int(fields[0]), int(fields[1]))
            case (104 | 103, 105):
                name = "builds" if kind == _BUILDS else "downloads"
                return Totals(name, *(int(number) for number in fields[:4]))
        return None


def _line(text: str, longest: int = _LONGEST_LINE) -> str:
    # Cut before as well: what is stripped takes time, and a line may be megabytes.
    plain = strip_control(text[: 4 * longest])
    if len(plain) <= longest and len(text) <= 4 * longest:
        return plain
    return f"{plain[:longest]} [cut]"
