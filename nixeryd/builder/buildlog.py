"""The log of a build: a file per image, rewritten by each build, bounded.

Its name is the image's, so that an error message can say where to look and the
place is the same next time.
"""

from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

MAX_BYTES = 10_000_000


class BuildLog:
    """Writes log lines; past `MAX_BYTES` it stops and says so once.

    Lines are flushed as they come: a log is read while the build hangs. What the
    disk does not take is left out: no build fails for its log.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._left = MAX_BYTES
        self._file: TextIO | None = None
        with suppress(OSError):
            self._file = path.open("w", encoding="utf-8", errors="replace", buffering=1)

    @classmethod
    def of_image(cls, directory: Path, repository: str) -> Self:
        """Open the log of an image; its name cannot leave the directory."""
        # A repository's grammar has no "+", so no two names meet.
        return cls(directory / f"{repository.replace('/', '+')[:200]}.log")

    def write(self, line: str) -> None:
        """Add a line."""
        if self._left <= 0 or self._file is None:
            return
        self._left -= len(line) + 1
        try:
            self._file.write(line + "\n" if self._left > 0 else "[the rest is cut]\n")
        except OSError:
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # of what it still had to write
                file.close()
