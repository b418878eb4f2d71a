"""Show a build as it goes: live on a terminal, as plain lines in a pipe."""

import time
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any

from rich.markup import escape
from rich.status import Status

from nixeryd.cli.console import PlainConsole
from nixeryd.cli.show_fetch import ShowFetch
from nixeryd.cli.show_work import Work
from nixeryd.images.names import is_thin
from nixeryd.images.sizes import render_size
from nixeryd.layers.thin import MOUNT

_PHASES = {
    "evaluate": "evaluating",
    "realise": "building",
    "pack": "packing",
}


def show_builds(
    events: Iterable[Mapping[str, Any]], host: str, *, on_the_way: bool = False
) -> bool:
    """Show events as they come; tell whether all images are there.

    `on_the_way` to something else: on stderr, and no word about the end.
    """
    console = PlainConsole(highlight=False, stderr=on_the_way)
    shows: dict[str, _Show | ShowFetch] = {}
    ended: dict[str, bool] = {}
    status = console.status("asking the daemon")
    # In a pipe it would leave an empty line behind.
    with status if console.is_terminal else nullcontext():
        for event in events:
            name = str(event["name"])
            if name not in shows:
                kind = ShowFetch if event.get("phase") == "resolve" else _Show
                shows[name] = kind(console, status, name, host)
            if on_the_way and event["type"] == "done":
                ended[name] = True
                continue
            done = shows[name].tell(event)
            if done is not None:
                ended[name] = done
    for name in shows.keys() - ended.keys():
        console.print(f"[red]{escape(name)}: the daemon broke off[/]")
    return bool(shows) and all(ended.get(name, False) for name in shows)


class _Show:
    """One image's build."""

    def __init__(
        self, console: PlainConsole, status: Status, name: str, host: str
    ) -> None:
        self._console = console
        self._status = status
        self._name = name
        self._host = host
        self._start = time.monotonic()
        self._phase = ""
        self._packed = 0
        self._reused = 0
        self._work = Work()

    def tell(self, event: Mapping[str, Any]) -> bool | None:
        """Show an event; at the end, tell whether the image is there."""
        if self._work.note(event):
            # One line: what does not fit is the least important.
            room = self._console.width - len(self._name) - len(self._phase) - 5
            self._now(self._work.line()[: max(room, 20)], "")
        if event["type"] == "planned":
            self._plan(event)
        match event["type"]:
            case "phase":
                self._phase = _PHASES.get(event["phase"], event["phase"])
                self._say(self._phase, "")
            case "log":
                self._console.print(f"[dim]{escape(event['line'])}[/]", soft_wrap=True)
            case "layer":
                self._packed += not event["cached"]
                self._reused += event["cached"]
                self._now("layer", f"{event['done']} of {event['total']}")
            case "done":
                self._done(event)
                return True
            case "error":
                message = str(event["message"])
                if not message.startswith(self._name):
                    message = f"{self._name}: {message}"
                self._console.print(f"[red]{escape(message)}[/]", soft_wrap=True)
                return False
        return None

    def _say(self, what: str, rest: str) -> None:
        self._now(rest, "")
        if not self._console.is_terminal:
            self._console.print(f"{self._name}: {what} {rest}".rstrip())

    def _plan(self, event: Mapping[str, Any]) -> None:
        parts = [f"{event['builds']} to build"] if event["builds"] else []
        if event["downloads"]:
            size = f" ({render_size(event['size'])})" if event["size"] else ""
            parts.append(f"{event['downloads']} to download{size}")
        self._console.print(f"{escape(self._name)}: {', '.join(parts)}")

    def _now(self, what: str, detail: str) -> None:
        name = escape(self._name)
        text = f"{self._phase} {escape(what)} [dim]{escape(detail)}[/]"
        self._status.update(f"[bold]{name}[/] {text}")

    def _done(self, event: Mapping[str, Any]) -> None:
        seconds = time.monotonic() - self._start
        mount = f"-v {MOUNT} " if is_thin(event["repository"]) else ""
        how = (
            "unchanged"
            if event["cached"]
            else f"{self._packed} layers packed, {self._reused} there already"
        )
        self._console.print(
            f"[green]{escape(self._name)}[/]  {render_size(event['size'])}  {how}"
            f"  {seconds:.1f} s\n  {event['digest']}",
            soft_wrap=True,
        )
        self._console.print(
            f"  docker run -it --rm {mount}{self._host}/{escape(self._name)}",
            soft_wrap=True,
        )
