"""Failed builds, kept across restarts: a file each and the end of its log.

Bounded in number and in bytes. A failure that cannot be written is only not
kept: it was told to who asked.
"""

import contextlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import structlog

from nixeryd.api.builds import Failure
from nixeryd.runtime.directories import list_names

KEPT = 50
_NAME = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")

log = structlog.get_logger()


def new_id(now: float) -> str:
    """Name a build so that names sort by time, and none is given twice."""
    return time.strftime("%Y%m%d-%H%M%S-", time.gmtime(now)) + secrets.token_hex(3)


class History:
    """The failures in a directory."""

    def __init__(self, directory: Path, now: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._now = now

    def add(self, failure: Failure, lines: Iterable[str]) -> None:
        """Keep a failure and its log, and forget the oldest if there are many."""
        try:
            text = "".join(line + "\n" for line in lines)
            self._write(f"{failure.id}.log", text.encode(errors="replace"))
            self._write(f"{failure.id}.json", msgspec.json.encode(failure))
            names = self._names()
            # Those from before the clock was set back would push out all that come.
            soon = new_id(self._now() + 1)
            late = [name for name in names if name > soon]
            for name in [*names[len(late) :], *late][KEPT:]:
                self.remove(name)
        except OSError as error:
            log.warning("a failure cannot be kept", error=str(error))

    def all(self) -> list[Failure]:
        """List the failures, the last one first."""
        return [found for name in self._names() if (found := self.find(name))]

    def find(self, name: str) -> Failure | None:
        """Find a failure by its id; what cannot be read is not there."""
        if not _NAME.fullmatch(name):
            return None
        try:
            text = (self._directory / f"{name}.json").read_bytes()
            return msgspec.json.decode(text, type=Failure)
        except (OSError, msgspec.DecodeError):
            return None

    def log(self, name: str) -> list[str]:
        """Return the end of a failure's log, line by line."""
        if not _NAME.fullmatch(name):
            return []
        try:
            text = (self._directory / f"{name}.log").read_text(errors="replace")
        except OSError:
            return []
        return text.split("\n")[:-1]

    def remove(self, name: str) -> None:
        """Forget a failure."""
        for suffix in (".json", ".log"):
            (self._directory / f"{name}{suffix}").unlink(missing_ok=True)

    def _names(self) -> list[str]:
        # Names begin with the time.
        files = list_names(self._directory)
        found = (name.removesuffix(".json") for name in files if name.endswith(".json"))
        return sorted((name for name in found if _NAME.fullmatch(name)), reverse=True)

    def _write(self, name: str, data: bytes) -> None:
        path = self._directory / name
        part = path.with_name(name + ".part")
        try:
            part.write_bytes(data)
            os.replace(part, path)  # noqa: PTH105  one word for it
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
