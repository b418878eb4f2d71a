"""What a build is doing, told to whoever follows it.

A build keeps its last events; a follower gets these first and then each new
one. A follower that does not keep up loses events, never slows the build down.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import msgspec
import trio

from nixeryd.images.names import ImageName
from nixeryd.nix import plan, progress as nix, transfers
from nixeryd.store.index import StoredManifest

KEPT = 500
_WARNING = 1  # a level of Nix's messages; higher ones are news
_BEHIND = 10_000  # events a follower may be behind before it loses some


class _Event(msgspec.Struct, frozen=True, tag_field="type", kw_only=True):
    pass


class Phase(_Event, frozen=True, tag="phase"):
    """What the build does now: evaluate, realise, pack."""

    phase: str


class Building(_Event, frozen=True, tag="building"):
    """Nix builds a derivation, and is in this phase of it."""

    drv: str
    phase: str = ""


class Built(_Event, frozen=True, tag="built"):
    """Nix is done with a derivation, well or not."""

    drv: str


class Downloading(_Event, frozen=True, tag="downloading"):
    """Nix downloads a store path; sizes in bytes, 0 if not known."""

    path: str
    done: int = 0
    expected: int = 0


class Downloaded(_Event, frozen=True, tag="downloaded"):
    """Nix is done with a store path, well or not."""

    path: str


class Totals(_Event, frozen=True, tag="totals"):
    """How many "builds" or "downloads" are done, of how many, and how many run."""

    kind: str
    done: int
    expected: int
    running: int = 0


class Fetching(_Event, frozen=True, tag="fetching"):
    """How many bytes of all store paths have come, and how many are expected."""

    done: int
    expected: int


class Planned(_Event, frozen=True, tag="planned"):
    """So many derivations will be built, and store paths fetched (`size` in bytes)."""

    builds: int
    downloads: int
    size: int


class LogLine(_Event, frozen=True, tag="log"):
    """A line of a builder's log, or a message of Nix."""

    line: str


class LayerDone(_Event, frozen=True, tag="layer"):
    """A layer is there; sizes in bytes."""

    done: int
    total: int
    size: int
    cached: bool


class Done(_Event, frozen=True, tag="done"):
    """The image is there."""

    repository: str
    digest: str
    size: int
    cached: bool


class Failed(_Event, frozen=True, tag="failed"):
    """The build failed; the message is the one that clients get."""

    message: str


Event: TypeAlias = (
    Phase
    | Building
    | Built
    | Downloading
    | Downloaded
    | Totals
    | Fetching
    | Planned
    | LogLine
    | LayerDone
    | Done
    | Failed
)


class Progress:
    """The events of one build."""

    def __init__(self) -> None:
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._moving: dict[str, Event] = {}  # the last word on each download
        self._followers: set[trio.MemorySendChannel[Event]] = set()
        self._listeners: list[Callable[[Event], None]] = []
        self._is_closed = False

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call this with each event from now on."""
        self._listeners.append(listener)

    def tell(self, event: Event) -> None:
        """Pass an event on to all who follow."""
        self._keep(event)
        for listener in self._listeners:
            listener(event)
        for follower in self._followers:
            try:
                follower.send_nowait(event)
            except (trio.WouldBlock, trio.BrokenResourceError):
                continue

    def _keep(self, event: Event) -> None:
        match event:
            case Downloading(path=path):
                self._moving[path] = event
            case Fetching():
                self._moving[""] = event
            case Downloaded(path=path):
                self._moving.pop(path, None)
            case Phase() | Done() | Failed():
                self._moving.clear()
                self._kept.append(event)
            case _:
                self._kept.append(event)

    def tell_nix(self, event: nix.Event) -> None:
        """Pass on what Nix says."""
        ours = of_nix(event)
        if ours is not None:
            self.tell(ours)

    def close(self) -> None:
        """End every follower's events, also of those that come later."""
        self._is_closed = True
        for follower in self._followers:
            follower.close()
        self._followers.clear()

    @contextmanager
    def follow(self) -> Iterator[trio.MemoryReceiveChannel[Event]]:
        """Receive what was told lately and what will be, until `close()`.

        Of each download only the last is kept: they would push all else out.
        """
        send, receive = trio.open_memory_channel[Event](_BEHIND)
        for event in (*self._kept, *self._moving.values()):
            send.send_nowait(event)
        if self._is_closed:
            send.close()
        else:
            self._followers.add(send)
        try:
            with receive:
                yield receive
        finally:
            self._followers.discard(send)
            send.close()


def done(image: ImageName, manifest: StoredManifest, *, cached: bool) -> Done:
    """Say that an image is there."""
    return Done(
        repository=image.repository,
        digest=str(manifest.digest),
        size=manifest.size,
        cached=cached,
    )


def of_nix(event: nix.Event) -> Event | None:  # noqa: C901, PLR0911  a table
    """Say Nix's event in our words; None if nobody needs to hear it."""
    match event:
        case nix.BuildStarted(drv):
            return Building(drv=drv)
        case nix.BuildPhase(drv, phase):
            return Building(drv=drv, phase=phase)
        case nix.BuildStopped(drv):
            return Built(drv=drv)
        case nix.DownloadStopped(path):
            return Downloaded(path=path)
        case nix.DownloadStarted(path, _):
            return Downloading(path=path)
        case nix.DownloadProgress(path, done, expected):
            return Downloading(path=path, done=done, expected=expected)
        case nix.Totals(kind, done, expected, running, _):
            return Totals(kind=kind, done=done, expected=expected, running=running)
        case transfers.Transferred(done, expected):
            return Fetching(done=done, expected=expected)
        case plan.Planned(builds, downloads, size):
            return Planned(builds=builds, downloads=downloads, size=size)
        case nix.BuildLog(drv, line):
            name = drv.rpartition("/")[2].partition("-")[2].removesuffix(".drv")
            return LogLine(line=f"{name}> {line}")
        case nix.Message(level, text) if level <= _WARNING:
            return LogLine(line=text)
        case _:
            return None
