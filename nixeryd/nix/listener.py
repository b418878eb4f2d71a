"""Listens to Nix while it realises: hands events on, and knows why it failed."""

import re
from collections import deque
from collections.abc import Sequence

import trio

from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.nix import messages
from nixeryd.nix.caches import CacheFailed, Caches, StoreFull, cache_of
from nixeryd.nix.plan import Planned
from nixeryd.nix.progress import (
    ERROR,
    WARNING,
    BuildLog,
    BuildStarted,
    DownloadStarted,
    Event,
    EventCallback,
    Message,
    ProgressReader,
    Totals,
    TransferStarted,
)

LOG_TAIL = 20  # lines
_MAX_LOGS = 64  # derivations whose log's end is kept
_MAX_ERRORS = 3  # of those that come before the one that names a derivation
_DRV = re.compile(r"/\S+?\.drv(?=['\"\s!^.;,]|$)")
_FULL = re.compile(r"No space left on device|Disk quota exceeded")
_QUOTED_LOG = re.compile(r"(?is);?\s*last \d+ log lines:.*")


class BuildFailed(RegistryError):  # noqa: N818  the interface's name
    """A build failed: 403, the status whose message clients show.

    `drv` is the derivation that failed, as far as Nix says; `reason` is Nix's own
    text; `log_tail` the last lines of the builder's log; `has_log` whether Nix keeps
    one, that is, whether a builder was started.
    """

    def __init__(
        self,
        drv: str | None,
        reason: str,
        log_tail: Sequence[str],
        *,
        has_log: bool = True,
    ) -> None:
        what = drv.rpartition("/")[2].partition("-")[2] if drv else "the packages"
        message = f"building {what.removesuffix('.drv')} failed: {reason}"
        if log_tail:
            message += f"\nThe log ends with:\n{messages.log_end(log_tail)}"
        if drv and has_log:
            message += f"\nThe whole log: nix-store --read-log {drv}"
        super().__init__(ErrorCode.DENIED, message)
        self.drv = drv
        self.reason = reason
        self.log_tail = tuple(log_tail)


class Listener:
    """Reads what one `nix-store --realise` says.

    `ours` are settings that we gave, which a Nix daemon may refuse; that is not passed
    on, as nobody can do anything about it.
    """

    def __init__(
        self, on_event: EventCallback | None = None, ours: Sequence[str] = ()
    ) -> None:
        self._reader = ProgressReader()
        self._on_event = on_event
        self._ours = tuple(f"'{name}'" for name in ours)
        self._logs: dict[str, deque[str]] = {}
        self._errors: list[str] = []
        self._said: deque[str] = deque(maxlen=LOG_TAIL)
        self._started: set[str] = set()
        self._arrived = 0
        self.caches = Caches()
        self.moved = 0.0  # when something last went on, on trio's clock

    def __repr__(self) -> str:
        return f"<Listener {self._reader!r}>"

    @property
    def planned(self) -> Planned:
        """What Nix is going to do."""
        return self._reader.planned

    @property
    def builds(self) -> int:
        """How many derivations were begun."""
        return len(self._started)

    @property
    def why_builds(self) -> str:
        """Say why so much is built, as the end of a sentence; "" if nobody knows."""
        texts = (*self._errors, *self._said)
        lacking = next(filter(None, map(self.caches.blamed, texts)), None)
        offers = f", because {lacking} does not have what it offers" if lacking else ""
        return self.caches.why_without or offers

    @property
    def awaited(self) -> str | None:
        """What Nix waits for while it builds nothing: a URL or a store path."""
        return self._reader.awaited

    def feed(self, line: str) -> None:
        """Read a line of Nix's standard error."""
        event = self._reader.feed(line)
        if event is None or self._is_refusal(event):
            return
        self._remember(event)
        self._tell(event)
        if isinstance(event, Planned) and event.builds and self.caches.silent:
            said = f"{event.builds} to build{self.caches.why_without}"
            self._tell(Message(WARNING, f"warning: {said}"))

    def _tell(self, event: Event) -> None:
        if self._on_event is not None:
            self._on_event(event)

    def _is_refusal(self, event: Event) -> bool:
        return (
            isinstance(event, Message)
            and event.level > ERROR
            and "setting" in event.text
            and any(name in event.text for name in self._ours)
        )

    def _remember(self, event: Event) -> None:
        match event:
            case BuildLog(drv, line):
                # The newest last; an old build's log is the first to go.
                log = self._logs.pop(drv, None) or deque(maxlen=LOG_TAIL)
                log.append(line)
                self._logs[drv] = log
                if len(self._logs) > _MAX_LOGS:
                    del self._logs[next(iter(self._logs))]
            case BuildStarted(drv):
                self._started.add(drv)
            case DownloadStarted(path, origin):
                self.caches.comes_from(path, origin)
            case Totals("downloads", done):
                self._arrived = done
            case TransferStarted(url, is_builds) if not is_builds:
                self.caches.is_asked(url)
            case Message(level, text):
                self.caches.note(text)
                (self._errors if level == ERROR else self._said).append(text)
                return  # no sign of progress: "retrying"
        self.moved = trio.current_time() if trio.lowlevel.in_trio_run() else 0.0

    def failure(self, why: str = "") -> NixerydError:
        """Make the error: a `BuildFailed`, a `CacheFailed`, or `StoreFull`.

        Nix's first error is the cause, the later ones follow. If we know `why`, the
        build that had something to say last is the one to blame.
        """
        if why:
            last = next(reversed(self._logs), None)
            return BuildFailed(last, why, tuple(self._logs.get(last or "", ())))
        errors = self._errors or ["\n".join(self._said)]
        # The first may come from a builder, which may say anything in Nix's name.
        naming = next((n for n, text in enumerate(errors) if _DRV.search(text)), None)
        named = None if naming is None else _DRV.search(errors[naming])
        drv = named.group() if named else None
        if drv not in self._started and (cache := self._blamed(errors)):
            reason = messages.error_message(errors[0].split("\n"))
            if _FULL.search(reason):
                return StoreFull(f"the Nix store has no room for more: {reason}")
            return CacheFailed(cache, reason, arrived=self._arrived)
        told = errors[:1] if naming is None else errors[: naming + 1][-_MAX_ERRORS:]
        reason = "\n".join(messages.error_message(text.split("\n")) for text in told)
        log = tuple(self._logs.get(drv or "", ()))
        # A Nix daemon and newer versions quote the log; once is enough.
        return BuildFailed(
            drv,
            _QUOTED_LOG.sub("", reason) if log else reason,
            log,
            has_log=drv in self._started,
        )

    def _blamed(self, errors: Sequence[str]) -> str | None:
        found = (cache for text in errors if (cache := self.caches.blamed(text)))
        first = next(found, None)
        return first or (self.caches.last if _DRV.search("\n".join(errors)) else None)

    def stalled(self, seconds: float) -> CacheFailed:
        """Make the error of a cache that sends nothing any more."""
        awaited = self.awaited or ""
        cache = self.caches.blamed(awaited) or cache_of(awaited)
        name = awaited.rpartition("/")[2]
        return CacheFailed(
            cache,
            f"{name} is awaited, and nothing has come for {seconds:.0f} s"
            " (nix.cache_timeout)",
            arrived=self._arrived,
        )
