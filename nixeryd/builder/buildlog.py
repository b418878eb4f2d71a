"""The log of a build: a file per image, rewritten by each build, bounded.

Its name is the image's, so that an error message can say where to look and the
place is the same next time. Of many images only the last ones have a log.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from nixeryd.images.digests import Digest

MAX_BYTES = 10_000_000
ECHOED = 1000  # lines
KEPT = 200  # logs
KEPT_BYTES = 100_000_000
_LONGEST = 200  # characters of a file's name


class BuildLog:
    """Writes log lines; past `MAX_BYTES` it stops and says so once.

    Lines are flushed as they come: a log is read while the build hangs. What the
    disk does not take is left out: no build fails for its log. Without a line there
    is no file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._left = MAX_BYTES
        self._file: TextIO | None = None
        self._is_closed = False
        self._is_kept = False

    @classmethod
    def of_image(cls, directory: Path, repository: str) -> Self:
        """Open the log of an image; its name cannot leave the directory."""
        # A repository's grammar has no "+", so no two names meet.
        name = repository.replace("/", "+")
        if len(name) > _LONGEST:
            name = f"{name[:_LONGEST]}+{Digest.of(name.encode()).hex[:16]}"
        return cls(directory / f"{name}.log")

    def write(self, line: str) -> None:
        """Add a line."""
        if self._left <= 0 or self._is_closed:
            return
        self._left -= len(line) + 1
        try:
            if self._file is None:
                self._file = self.path.open(
                    "w", encoding="utf-8", errors="replace", buffering=1
                )
            self._file.write(line + "\n" if self._left > 0 else "[the rest is cut]\n")
        except OSError:
            self._close()

    def keep(self) -> None:
        """Leave the log of the build before: this one is not done."""
        self._is_kept = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        has_written = self._file is not None
        self._close()
        with suppress(OSError):
            if has_written:
                _sweep(self.path.parent)
            elif not self._is_kept:
                self.path.unlink(missing_ok=True)  # it told of another build

    def _close(self) -> None:
        self._is_closed = True
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # of what it still had to write
                file.close()


class Echo:
    """The first lines of a log, for the daemon's own, which nobody bounds."""

    def __init__(self, say: Callable[..., object], log: Path) -> None:
        self._say = say
        self._log = log
        self._left = ECHOED

    def add(self, line: str) -> None:
        """Say a line; the last one says where the others are."""
        if self._left > 0:
            self._left -= 1
            self._say("nix", line=line if self._left else f"[the rest: {self._log}]")


def _sweep(directory: Path) -> None:
    """Remove the logs that were written longest ago, if there are too many.

    Before these, those that were written before the clock was set back.
    """
    now = time.time_ns()
    with os.scandir(directory) as entries:
        found = [(entry.stat(), entry.path) for entry in entries]
    found.sort(key=lambda log: (log[0].st_mtime_ns > now, -log[0].st_mtime_ns))
    size = 0
    for number, (status, path) in enumerate(found):
        size += status.st_size
        if number >= KEPT or size > KEPT_BYTES:
            Path(path).unlink(missing_ok=True)
