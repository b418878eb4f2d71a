"""Nix's `--log-format internal-json`, read into events.

The format is not promised to anybody (libutil/logging.cc), so: unknown types
are left out, wrong shapes too, and lines that are no JSON are passed through as
messages. Activities have an id when they start and only the id afterwards;
`ProgressReader` remembers which is which.

A message's level is no guide: whatever a Nix daemon says arrives at level 0, warnings
included. An error is what begins with "error:", in all versions and forks so far.

Pure: lines in, events out.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from nixeryd.nix.messages import strip_control
from nixeryd.nix.plan import Planned, PlanReader
from nixeryd.nix.transfers import Transferred, Transfers

_PREFIX = "@nix "

# Activity and result types (enum ActivityType, ResultType). 109 and 110 mean
# other things in Determinate Nix and are not read.
_COPY_PATH, _TRANSFER, _REALISE, _COPY_PATHS, _BUILDS, _BUILD = (
    100,
    101,
    102,
    103,
    104,
    105,
)
_LOG_LINE, _PHASE, _PROGRESS, _SET_EXPECTED = 101, 104, 105, 106


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
class TransferStarted:
    """A file comes over the network: a NAR, what a cache knows of a path, a source.

    `is_builds` if a builder asked for it.
    """

    url: str
    is_builds: bool = False


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
    | TransferStarted
    | Transferred
    | Planned
    | Message
)
EventCallback = Callable[[Event], None]

ERROR: Final = 0
WARNING: Final = 1
_NEWS: Final = 3
# Characters. Builds keep hundreds of events, and a builder may say anything.
_LONGEST_LINE = 4000
_LONGEST_PHASE = 100
_LONGEST = 16_000  # a message with all its traces


@dataclass(frozen=True, slots=True)
class _Activity:
    """`subject` is a derivation, a store path or a URL; `origin` a copied path's."""

    kind: int
    subject: str = ""
    origin: str = ""
    is_of_copy: bool = False  # a transfer that brings a store path


_NONE: Final = _Activity(0)


class ProgressReader:
    """Reads one Nix process's lines; keeps what is going on between them."""

    def __init__(self) -> None:
        self._activities: dict[int, _Activity] = {}
        self._results: dict[tuple[int, int], object] = {}
        self._transfers = Transfers()
        self._plan = PlanReader()
        self._building = 0
        self._has_built = False

    def __repr__(self) -> str:
        return f"<ProgressReader [{len(self._activities)} running]>"

    @property
    def planned(self) -> Planned:
        """What Nix has said that it is going to do."""
        return self._plan.planned

    @property
    def awaited(self) -> str | None:
        """The URL or store path that Nix waits for while it builds nothing, if any."""
        if self._building:
            return None
        found = [a for a in self._activities.values() if a.kind == _TRANSFER] or [
            a for a in self._activities.values() if a.kind == _COPY_PATH
        ]
        return found[0].subject if found else None

    def feed(self, line: str) -> Event | None:
        """Read one line of standard error; None if it says nothing new to us."""
        if not line.startswith(_PREFIX):
            text = _line(line)
            self._plan.feed(text)
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
                return self._message(int(entry["level"]), str(entry["msg"]))
        return None

    def _message(self, level: int, said: str) -> Message:
        text = _line(said, _LONGEST)
        if level == ERROR and not text.lstrip().startswith("error:"):
            level = WARNING
        self._plan.feed(text)
        return Message(level, text)

    def _start(self, entry: dict[str, Any]) -> Event | None:
        started: Event | None
        kind = entry["type"]
        fields = entry.get("fields", ())
        activity, started = _Activity(kind), None
        match kind:
            case 105:
                activity = _Activity(kind, str(fields[0]))
                started = BuildStarted(activity.subject)
            case 100:
                activity = _Activity(kind, str(fields[0]), str(fields[1]))
                started = DownloadStarted(activity.subject, activity.origin)
            case 101:
                activity, started = self._transfer(str(fields[0]), entry.get("parent"))
            case 104:
                # The plan comes before all work, and once.
                started = self._plan.finish(self._transfers)
            case 102 | 103:
                pass
            case _:
                return None
        self._activities[entry["id"]] = activity
        return started

    def _transfer(self, url: str, parent: int | None) -> tuple[_Activity, Event]:
        """Begin a transfer. Nix 2.8 tells nobody's parent: then the URL says it all."""
        above = self._activities.get(parent or 0, _NONE)
        is_of_copy = above.kind == _COPY_PATH or (
            parent is None
            and not url.endswith(".narinfo")
            and any(
                one.kind == _COPY_PATH and url.startswith(one.origin)
                for one in self._activities.values()
            )
        )
        activity = _Activity(_TRANSFER, url, is_of_copy=is_of_copy)
        return activity, TransferStarted(url, is_builds=above.kind == _BUILD)

    def _stop(self, number: int) -> Event | None:
        activity = self._activities.pop(number, _NONE)
        self._results.pop((number, _PROGRESS), None)
        if activity.kind == _BUILD:
            return BuildStopped(activity.subject)
        if activity.kind == _COPY_PATH:
            return DownloadStopped(activity.subject)
        return None

    def _result(self, entry: dict[str, Any]) -> Event | None:
        number, kind = entry["id"], entry["type"]
        activity = self._activities[number]
        fields = entry["fields"]
        if kind in (_PROGRESS, _SET_EXPECTED):
            # curl tells many times a second how far it is, moved or not.
            slot = (number, kind if kind == _PROGRESS else -int(fields[0]))
            if self._results.get(slot) == fields:
                return None
            self._results[slot] = fields
        match kind:
            case 105:
                return self._progress(number, activity, fields)
            case 106 if activity.kind == _REALISE:
                return self._transfers.expect(int(fields[0]), int(fields[1]))
            case 101 if activity.kind == _BUILD:
                return BuildLog(activity.subject, _line(str(fields[0])))
            case 104 if activity.kind == _BUILD:
                phase = _line(str(fields[0]), _LONGEST_PHASE)
                return BuildPhase(activity.subject, phase)
        return None

    def _progress(
        self, number: int, activity: _Activity, fields: list[Any]
    ) -> Event | None:
        done, expected, running, failed = (int(field) for field in fields[:4])
        match activity.kind:
            case 100:
                self._transfers.copied(number, done)
                return DownloadProgress(activity.subject, done, expected)
            case 101:
                if activity.is_of_copy:
                    return self._transfers.transferred(number, done)
            case 103:
                return Totals("downloads", done, expected, running, failed)
            case 104:
                self._building = running
                self._has_built |= running > 0
                # What is only fetched counts as a derivation to build, too.
                if self._plan.is_without_builds and not self._has_built:
                    return None
                return Totals("builds", done, expected, running, failed)
        return None


def _line(text: str, longest: int = _LONGEST_LINE) -> str:
    # Cut before as well: what is stripped takes time, and a line may be megabytes.
    plain = strip_control(text[: 4 * longest])
    if len(plain) <= longest and len(text) <= 4 * longest:
        return plain
    return f"{plain[:longest]} [cut]"
