"""Build derivations, or fetch what they would give: `nix-store --realise`.

One process for all of them. It leaves indirect GC roots, and it is quick when
everything is there. Nix's JSON log becomes events, and if a build fails, the
end of its log becomes part of the error.

Nix manual, `nix-store --realise`; `drv!out,man` asks for these outputs only.
"""

import os
import re
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.nix import messages
from nixeryd.nix.missing import require_present
from nixeryd.nix.process import Nix, NixFailed
from nixeryd.nix.progress import BuildLog, Event, EventCallback, Message, ProgressReader
from nixeryd.process import TalksWithoutEnd

_LOG_TAIL = 20  # lines
_LOG_SIZE = 256 * 2**20  # bytes that a builder may say
_MAX_LOGS = 64  # derivations whose log's end is kept
_OUR_LIMIT = "max-build-log-size"
_DRV = re.compile(r"/\S+?\.drv(?=['\"\s!^.;,]|$)")

_QUOTED_LOG = re.compile(r"(?is);?\s*last \d+ log lines:.*")


class BuildFailed(RegistryError):  # noqa: N818  the interface's name
    """A build failed: 403, the status whose message clients show.

    `drv` is the derivation that failed, as far as Nix says; `reason` is Nix's own
    text; `log_tail` the last lines of the builder's log.
    """

    def __init__(self, drv: str | None, reason: str, log_tail: Sequence[str]) -> None:
        what = drv.rpartition("/")[2].partition("-")[2] if drv else "the packages"
        message = f"building {what.removesuffix('.drv')} failed: {reason}"
        if log_tail:
            message += f"\nThe log ends with:\n{messages.log_end(log_tail)}"
        if drv:
            message += f"\nThe whole log: nix-store --read-log {drv}"
        super().__init__(ErrorCode.DENIED, message)
        self.drv = drv
        self.reason = reason
        self.log_tail = tuple(log_tail)


class DerivationLost(NixerydError):  # noqa: N818  what happened, not what it is
    """Garbage collection took a derivation after its evaluation: evaluate again."""


async def realise(
    nix: Nix,
    installables: Sequence[str],
    *,
    roots: Path,
    timeout: int = 0,  # noqa: ASYNC109  Nix's own, per builder
    on_event: EventCallback | None = None,
) -> None:
    """Make these derivations' outputs valid, and root them in directory `roots`.

    `installables` are .drv paths, or `ResolvedPackage.installable`. `timeout` is
    in seconds per builder, 0 for none. Raises `BuildFailed`, `DerivationLost`, and
    without a network `MissingOffline`, before anything is tried.
    """
    if not installables:
        return
    if why := nix.offline.why:
        await require_present(nix, installables, why)
    listener = _Listener(on_event)
    argv = [
        "nix-store",
        "--realise",
        *installables,
        "--add-root",
        os.path.abspath(roots / "root"),  # noqa: ASYNC240, PTH100  reads the cwd only
        "--indirect",  # implied by Nix 2.4 and later
        "--log-format",
        "internal-json",
        "-v",  # tells of downloads too
        *(["--timeout", str(timeout)] if timeout else []),
        # Nix holds a line in memory until it ends. By default there is no limit.
        "--option",
        _OUR_LIMIT,
        str(_LOG_SIZE),
    ]
    try:
        await nix.run(argv, on_stderr_line=listener.feed)
    except NixFailed as error:
        lost = None if nix.is_remote else _lost(installables)
        if lost is not None:
            raise DerivationLost(
                f"{lost} was garbage-collected before it was built; try again"
            ) from error
        raise listener.failure() from error
    except TalksWithoutEnd as error:
        raise listener.failure(f"{error}: it was ended") from error


def _lost(installables: Sequence[str]) -> str | None:
    drvs = (installable.partition("!")[0] for installable in installables)
    return next((drv for drv in drvs if not Path(drv).exists()), None)


def _is_refusal(event: Event) -> bool:
    """Tell whether a Nix daemon only says that it has its own limit of logs."""
    return isinstance(event, Message) and event.level > 0 and _OUR_LIMIT in event.text


class _Listener:
    """Hands events on, and remembers what an error message would need."""

    def __init__(self, on_event: EventCallback | None) -> None:
        self._reader = ProgressReader()
        self._on_event = on_event
        self._logs: dict[str, deque[str]] = {}
        self._errors: list[str] = []
        self._said: deque[str] = deque(maxlen=_LOG_TAIL)

    def feed(self, line: str) -> None:
        event = self._reader.feed(line)
        if event is None or _is_refusal(event):
            return
        self._remember(event)
        if self._on_event is not None:
            self._on_event(event)

    def _remember(self, event: Event) -> None:
        match event:
            case BuildLog(drv, line):
                # The newest last; an old build's log is the first to go.
                log = self._logs.pop(drv, None) or deque(maxlen=_LOG_TAIL)
                log.append(line)
                self._logs[drv] = log
                if len(self._logs) > _MAX_LOGS:
                    del self._logs[next(iter(self._logs))]
            case Message(0, text):
                self._errors.append(text)
            case Message(_, text):
                self._said.append(text)

    def failure(self, why: str = "") -> BuildFailed:
        """Make the error: Nix's first one is the cause, the later ones follow.

        If we know `why`, the last that had something to say is the one to blame.
        """
        if why:
            last = next(reversed(self._logs), None)
            return BuildFailed(last, why, tuple(self._logs.get(last or "", ())))
        first = self._errors[0] if self._errors else "\n".join(self._said)
        reason = messages.error_message(first.split("\n"))
        # The first may come from a builder, which may say anything in Nix's name.
        named = next(filter(None, map(_DRV.search, (reason, *self._errors))), None)
        drv = named.group() if named else None
        log = tuple(self._logs.get(drv or "", ()))
        # A Nix daemon and newer versions quote the log; once is enough.
        return BuildFailed(drv, _QUOTED_LOG.sub("", reason) if log else reason, log)
