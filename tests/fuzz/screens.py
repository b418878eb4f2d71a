"""What commands print of answers that others wrote: nothing but printable text."""

import io
import json
import re
from random import Random

import msgspec

from nixeryd.api.images import ImageDetails, ImageList
from nixeryd.cli import list as list_, search, show, status
from nixeryd.cli.console import PlainConsole
from nixeryd.cli.show_build import _Show
from nixeryd.cli.show_fetch import ShowFetch
from nixeryd.cli.terminal import Terminal
from tests.cli.test_terminal import ANSWERS, DETAILS, FAILURES, FETCHED, PULLED, STATUS
from tests.fuzz import draw

_RICHS = re.compile(rb"\x1b\[(?:[0-9;]*m|\?25[lh]|[0-9]*[AK])|\r")


class _Screen(io.BytesIO):
    def isatty(self) -> bool:
        return True


def show_answers(rng: Random, count: int) -> None:
    """Print `count` drawn answers as the commands do; raises at the first bad byte."""
    for number in range(count):
        screen = _Screen()
        terminal = Terminal(screen, encoding="utf-8", errors="backslashreplace")
        if number % 10:
            terminal.write(_text(rng, number))
        else:
            _watch(rng, terminal)
        terminal.flush()
        shown = _RICHS.sub(b"", screen.getvalue()).decode()
        rest = shown.replace("\n", "").replace("\t", "")
        assert rest.isprintable(), ascii(rest)


def _text(rng: Random, number: int) -> str:
    """Draw an answer of the daemon, and render it."""

    def drawn(like: object) -> object:
        return json.loads(json.dumps(draw.evil_json(rng, like)))

    match number % 5:
        case 0:
            details = DETAILS | {
                key: drawn(DETAILS[key]) for key in ("platform", "config", "layers")
            }
            return "\n".join(show._lines(msgspec.convert(details, ImageDetails)))
        case 1:
            images = msgspec.convert(ANSWERS["/api/v1/images"], ImageList)
            return list_._table([list_._row(one) for one in images.images])
        case 2:
            packages = drawn(ANSWERS["/api/v1/search"]["packages"] * 3)
            return "\n".join(search._lines(packages)) if packages else ""
        case 3:
            return status._render(STATUS | {"nix": drawn("x"), "failures": FAILURES})
        case _:
            return draw.evil_text(rng, 300)


def _watch(rng: Random, terminal: Terminal) -> None:
    """Draw what happens to a pull, and show it as it goes."""
    console = PlainConsole(highlight=False, force_terminal=True)
    console.file = terminal.raw
    for kind, events in ((_Show, PULLED), (ShowFetch, FETCHED)):
        with console.status("x") as moving:
            one = kind(console, moving, draw.evil_text(rng), "localhost:5000")
            for event in events:
                kept = {"type": event["type"]}
                if event["type"] == "phase":
                    kept["phase"] = event["phase"]
                one.tell({**draw.evil_json(rng, event), **kept})
