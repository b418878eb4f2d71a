"""A build as it is watched: its events, summed up into what is so now.

Bounded whatever Nix tells: what has ended is only counted.
"""

import time
from itertools import islice

import msgspec
import trio

from nixeryd.api.builds import (
    Build,
    Count,
    Derivation,
    Download,
    Failure,
    LogPart,
    State,
    Transfer,
)
from nixeryd.builder import progress as events
from nixeryd.builder.history import new_id
from nixeryd.builder.log_tail import LogTail
from nixeryd.builder.progress import Event
from nixeryd.runtime.changes import Changes
from nixeryd.runtime.flight import Waiters
from nixeryd.runtime.rates import Rate

_SHOWN = 100  # derivations or downloads; Nix does not do as many at once
_LINES_AT_ONCE = 1000


class BuildStatus:
    """One build. `changes` is for who watches this one alone, its log too."""

    def __init__(
        self, repository: str, tag: str, source: str, waiters: Waiters
    ) -> None:
        self._since = time.time()
        self._began = trio.current_time()
        self._ended: float | None = None
        self._name = (repository, tag, source)
        self._askers = waiters
        self._derivations: dict[str, Derivation] = {}  # the last active at the end
        self._drv_of: dict[str, str] = {}  # by name
        self._building: int | None = None  # how many, as Nix says
        self._downloads: dict[str, Download] = {}
        self._rates: dict[str, Rate] = {}  # of store paths
        self._transfer = events.Fetching(done=0, expected=0)
        self._rate = Rate()
        self._totals = {"builds": Count(), "downloads": Count()}
        self._layers = Count()
        self._packed = 0
        self._state: State = "running"
        self._end: events.Done | events.Failed | None = None
        self.id = new_id(self._since)
        self.phase = ""
        self.lines = LogTail()
        self.changes = Changes()

    def note(self, event: Event) -> bool:  # noqa: C901, PLR0912  a table
        """Take in an event; tell whether more than the log has changed."""
        is_news = True
        match event:
            case events.LogLine(line=line):
                self.lines.add(line)
                self._note_active(self._drv_of.get(line.partition("> ")[0], ""))
                is_news = False
            case events.Phase(phase=phase):
                self.phase = phase
                self._forget_work()
            case events.Building(drv=drv, phase=phase):
                known = self._derivations.pop(drv, None)
                since = known.since if known else time.time()
                self._derivations[drv] = Derivation(drv, _name(drv), phase, since)
                self._drv_of[_name(drv)] = drv
            case events.Built(drv=drv):
                is_news = self._derivations.pop(drv, None) is not None
                self._drv_of.pop(_name(drv), None)
            case events.Downloading(path=path, done=done, expected=expected):
                self._downloads[path] = Download(path, _name(path), done, expected)
                rate = self._rates.setdefault(path, Rate())
                rate.add(trio.current_time(), done)
            case events.Downloaded(path=path):
                is_news = self._downloads.pop(path, None) is not None
                self._rates.pop(path, None)
            case events.Fetching(done=done):
                self._transfer = event
                self._rate.add(trio.current_time(), done)
            case events.Planned(size=size):
                self._transfer = events.Fetching(done=0, expected=size)
                self._rate.add(trio.current_time(), 0)
            case events.Totals(kind=kind, done=done, expected=expected):
                is_news = self._totals.get(kind) != Count(done, expected)
                self._totals[kind] = Count(done, expected)
                if kind == "builds":
                    self._building = event.running
            case events.LayerDone(done=done, total=total, size=size):
                self._layers = Count(done, total)
                self._packed += size
            case events.Done():
                self._finish("done", event)
            case events.Failed():
                self._finish("failed", event)
        self.changes.bump()
        return is_news

    def _finish(self, state: State, event: events.Done | events.Failed) -> None:
        self._state = state
        self._end = event
        self._ended = trio.current_time()
        self._forget_work()

    def _forget_work(self) -> None:
        self._derivations.clear()
        self._drv_of.clear()
        self._downloads.clear()
        self._rates.clear()
        self._building = None

    def _note_active(self, drv: str) -> None:
        known = self._derivations.pop(drv, None)
        if known is not None:
            self._derivations[drv] = known

    def _being_built(self) -> tuple[Derivation, ...]:
        """List what is being built, the oldest first.

        Nix tells the end of what was asked for only at the end of all, but how many
        are being built at once: those that had something to say last.
        """
        found = list(self._derivations.values())
        if self._building is not None:
            found = found[max(0, len(found) - self._building) :]
        return tuple(sorted(found, key=lambda one: one.since)[:_SHOWN])

    def _being_fetched(self) -> tuple[Download, ...]:
        now = trio.current_time()
        return tuple(
            msgspec.structs.replace(
                one, rate=round(self._rates[one.path].per_second(now))
            )
            for one in islice(self._downloads.values(), _SHOWN)
        )

    def _transferred(self) -> Transfer:
        now = trio.current_time()
        done, expected = self._transfer.done, self._transfer.expected
        if not self._downloads:
            return Transfer(done, expected)
        rate, left = self._rate.per_second(now), self._rate.left(now, expected)
        return Transfer(
            done, expected, round(rate), None if left is None else round(left, 1)
        )

    @property
    def has_ended(self) -> bool:
        return self._ended is not None

    @property
    def seconds(self) -> float:
        """How long it has taken, by now or in all."""
        return round((self._ended or trio.current_time()) - self._began, 1)

    def snapshot(self) -> Build:
        """Say how far it is."""
        repository, tag, source = self._name
        done = self._end if isinstance(self._end, events.Done) else None
        failed = self._end if isinstance(self._end, events.Failed) else None
        return Build(
            id=self.id,
            repository=repository,
            tag=tag,
            source=source,
            state=self._state,
            phase=self.phase,
            since=self._since,
            seconds=self.seconds,
            waiting=tuple(sorted(self._askers.names())),
            derivations=self._being_built(),
            downloads=self._being_fetched(),
            builds=self._totals["builds"],
            fetches=self._totals["downloads"],
            layers=self._layers,
            packed=self._packed,
            lines=self.lines.total,
            transfer=self._transferred(),
            message=failed.message if failed else "",
            digest=done.digest if done else "",
            size=done.size if done else 0,
            cached=done.cached if done else False,
        )

    def failure(self, drv: str | None) -> Failure:
        """Say how it failed, in building `drv` if it did so there."""
        told = self.snapshot()
        return Failure(
            id=self.id,
            repository=told.repository,
            tag=told.tag,
            source=told.source,
            since=told.since,
            seconds=told.seconds,
            phase=told.phase,
            package=_name(drv) if drv else "",
            message=told.message,
        )

    def log_tail(self) -> tuple[str, ...]:
        """Return all lines that are kept."""
        return self.lines.since(0)[1]

    def log(self, start: int, most: int = _LINES_AT_ONCE) -> LogPart:
        """Return the log from line `start` on, the last lines if it is much."""
        first, lines = self.lines.since(start, most)
        return LogPart(first, self.lines.total, lines)


def _name(path: str) -> str:
    return path.rpartition("/")[2].partition("-")[2].removesuffix(".drv")
