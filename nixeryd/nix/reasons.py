"""Why an evaluation failed, for a person: Nix's error, its place, or the limit it met.

Pure. Since Nix 2.20 a trace ends with the cause, and the frame before it may be the
only one that tells where: a failed `assert` has no place of its own.
"""

import re
import signal
from collections.abc import Sequence
from typing import Final

from nixeryd.images.sizes import render_size
from nixeryd.nix import messages

_FRAME = re.compile(
    r"^\s*… (?P<what>.*)\n\s*at (?P<place>\S+:\d+:\d+):?$", re.MULTILINE
)
_PLACE = re.compile(r"(?m)^\s*at (?P<place>\S+:\d+:\d+):?$")
# Whose message is the author's own: it says more than its place.
_SPOKEN = re.compile(r"'(?:throw|abort)'")
# Boehm's collector, and what Nix makes of it: it throws, or is ended by abort().
_OUT_OF_MEMORY: Final = re.compile(
    r"(?im)^GC Warning:.*out of memory|^error: out of memory$"
)


def explain(
    stderr: Sequence[str], status: int, *, memory: int = 0, source: str | None = None
) -> str:
    """Say why `nix-instantiate` failed.

    `status` is its exit status, negative for a signal; `memory` what it may take, in
    bytes, 0 for no limit; `source` the directory or file where people look for errors.
    """
    text = messages.strip_control("\n".join(stderr))
    if _OUT_OF_MEMORY.search(text) or status < 0:
        return _ended(text, status, memory)
    message = messages.error_message(stderr)
    if source is None or _is_placed(message, source):
        return message
    frame = _nearest(text, source)
    return f"{message}\n{frame}" if frame else message


def _ended(text: str, status: int, memory: int) -> str:
    if memory:
        return (
            f"it takes more memory than nix.evaluation_memory allows"
            f" ({render_size(memory)}): raise it, or set it to 0 for no limit"
        )
    if _OUT_OF_MEMORY.search(text):
        return "out of memory: this machine, or the limits of its services, has no more"
    name = signal.Signals(-status).name if -status in set(signal.Signals) else -status
    return f"Nix was ended by {name}; the machine may be out of memory"


def _is_inside(place: str, source: str) -> bool:
    return place.startswith((source.rstrip("/") + "/", source + ":"))


def _is_placed(message: str, source: str) -> bool:
    return any(_is_inside(m["place"], source) for m in _PLACE.finditer(message))


def _nearest(text: str, source: str) -> str:
    frames = [m for m in _FRAME.finditer(text) if _is_inside(m["place"], source)]
    if not frames or _SPOKEN.search(frames[-1]["what"]):
        return ""
    return f"{frames[-1]['what']}\nat {frames[-1]['place']}"
