"""Show how an image of another registry comes: a bar for each blob on a terminal."""

import time
from collections.abc import Mapping
from typing import Any

from rich.filesize import decimal
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)
from rich.status import Status

from nixeryd.cli.console import PlainConsole

_SHORT = len("sha256:") + 12


class ShowFetch:
    """One image's arrival. `status` is shown while there are no bars."""

    def __init__(
        self, console: PlainConsole, status: Status, name: str, host: str
    ) -> None:
        self._console = console
        self._status = status
        self._name = name
        self._host = host
        self._start = time.monotonic()
        self._cached = 0
        self._bars: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=console,
            transient=True,
        )

    def tell(self, event: Mapping[str, Any]) -> bool | None:
        """Show an event; at the end, tell whether the image is there."""
        match event["type"]:
            case "phase" if event["phase"] == "resolve":
                self._status.update(f"[bold]{escape(self._name)}[/] asking for it")
            case "phase":
                self._status.stop()  # there is one live display at a time
                self._progress.start()
            case "warning":
                self._print(f"[yellow]{escape(event['message'])}[/]")
            case "blob":
                self._blob(event)
            case "done":
                self._end()
                self._done(event)
                return True
            case "error":
                self._end()
                message = str(event["message"])
                if not message.startswith(self._name):
                    message = f"{self._name}: {message}"
                self._print(f"[red]{escape(message)}[/]")
                return False
        return None

    def _blob(self, event: Mapping[str, Any]) -> None:
        digest = str(event["digest"])
        if event["cached"]:
            self._cached += 1
            return
        if digest not in self._bars:
            self._bars[digest] = self._progress.add_task(
                digest[len("sha256:") : _SHORT], total=event["size"]
            )
        self._progress.update(self._bars[digest], completed=event["done"])

    def _end(self) -> None:
        self._progress.stop()
        self._status.start()

    def _done(self, event: Mapping[str, Any]) -> None:
        seconds = time.monotonic() - self._start
        fetched = len(self._bars)
        how = (
            "here already"
            if event["cached"]
            else f"{fetched} blobs fetched, {self._cached} here already"
        )
        self._print(
            f"[green]{escape(self._name)}[/]  {decimal(event['size'])}  {how}"
            f"  {seconds:.1f} s\n  {event['digest']}"
        )
        self._print(f"  docker run -it --rm {self._host}/{escape(self._name)}")

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)
