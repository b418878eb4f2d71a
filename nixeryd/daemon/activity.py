"""What goes on now, for the page and the API: builds, failures, downloads."""

from collections.abc import Callable, Iterable

import trio

from nixeryd.api.builds import Build, Failure, Fetch
from nixeryd.builder.build_monitor import BuildMonitor
from nixeryd.builder.build_status import BuildStatus
from nixeryd.builder.history import History
from nixeryd.mirror.download import Download
from nixeryd.mirror.downloads import Downloads
from nixeryd.runtime.changes import Changes


class Live:
    """Implements the port of the same name in `web.ports`."""

    def __init__(
        self,
        changes: Changes,
        board: BuildMonitor,
        history: History,
        downloads: Downloads | None = None,
        queued: Callable[[], Iterable[str]] = lambda: (),
    ) -> None:
        self.changes = changes
        self._board = board
        self._history = history
        self._downloads = downloads
        self._queued = queued
        if downloads is not None:
            downloads.on_news = changes.bump

    def builds(self) -> list[Build]:
        """List the builds that run, then those that ended lately."""
        found = [*self._board.running(), *self._board.ended()]
        return [build.snapshot() for build in found]

    def queued(self) -> tuple[str, ...]:
        """Name the images whose builds wait for their turn."""
        return tuple(self._queued())

    def fetches(self) -> list[Fetch]:
        """List the blobs that are being mirrored, the oldest first."""
        running = self._downloads.running() if self._downloads else []
        return [_told(download) for download in running]

    def build(self, build: str) -> BuildStatus | None:
        """Find a build by its id, while it is known."""
        return self._board.find(build)

    def failures(self) -> list[Failure]:
        """List the last builds that failed, the last one first."""
        return self._history.all()

    def failure(self, build: str) -> Failure | None:
        """Find one of them."""
        return self._history.find(build)

    def failure_log(self, build: str) -> list[str]:
        """Return the end of its log."""
        return self._history.log(build)


def _told(download: Download) -> Fetch:
    seconds = trio.current_time() - download.since
    return Fetch(
        digest=str(download.digest),
        origin=str(download.place),
        arrived=download.arrived,
        size=download.size or 0,
        seconds=round(seconds, 1),
        rate=round(download.arrived / seconds) if seconds else 0,
        readers=download.readers,
    )
