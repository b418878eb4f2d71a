"""The board: what builds run now, and which ended lately.

Kept in memory; what failed is kept on disk as well (`history`).
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from nixeryd.builder.build_status import BuildStatus
from nixeryd.builder.progress import Event
from nixeryd.builder.run import Run
from nixeryd.runtime.changes import Changes

_KEPT = 12  # builds that have ended


class BuildMonitor:
    """Builds by id; `changes` tells of all of them, their logs excepted."""

    def __init__(self, changes: Changes) -> None:
        self.changes = changes
        self._running: dict[str, BuildStatus] = {}
        self._ended: deque[BuildStatus] = deque(maxlen=_KEPT)

    def __repr__(self) -> str:
        return f"<Board [{len(self._running)} running]>"

    def running(self) -> list[BuildStatus]:
        """List the builds that run, the oldest first."""
        return list(self._running.values())

    def ended(self) -> list[BuildStatus]:
        """List those that ended lately, the last one first."""
        return list(self._ended)

    def find(self, build: str) -> BuildStatus | None:
        """Find a build by its id; None if it was long ago."""
        known = self._running.get(build)
        return known or next((one for one in self._ended if one.id == build), None)

    def close(self) -> None:
        """Let all who watch go: the daemon stops."""
        self.changes.close()
        for build in self._running.values():
            build.changes.close()

    @contextmanager
    def watch(self, run: Run) -> Iterator[BuildStatus]:
        """Show a build as running until the end of the block."""
        waiters = run.flight.waiters
        build = BuildStatus(run.image.repository, run.tag, run.source.name, waiters)

        def note(event: Event) -> None:
            if build.note(event):
                self.changes.bump()

        def asked() -> None:
            build.changes.bump()
            self.changes.bump()

        run.progress.listen(note)
        waiters.on_change = asked
        run.watched = self._running[build.id] = build
        self.changes.bump()
        try:
            yield build
        finally:
            del self._running[build.id]
            # What was cut off has not ended: there is nothing to show of it.
            if build.has_ended:
                self._ended.appendleft(build)
            waiters.on_change = lambda: None
            build.changes.close()
            self.changes.bump()
