"""What Nix said, made fit for a person: no colours, no noise, the last lines.

Pure. Nix has no stable format for its errors: from the last "error:" to the
end is what it has to say, in all versions and forks so far.
"""

import re
from collections.abc import Sequence

MAX_LINES = 20
MAX_CHARACTERS = 2000
_QUOTED_LINE = 300  # characters

# CSI sequences (colours), OSC sequences (links and titles), and the rest of the
# control characters but newline and tab: this text reaches terminals and pages.
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]"
)
_ERROR = re.compile(r"^(?:\s*)error: ?")
# Advice on flags of a command line that the reader has not typed.
_ADVICE = re.compile(r"^\(use '--show-trace'.*\)$|^For full logs, run:?$")


def strip_control(text: str) -> str:
    """Take out colours and all control characters but newline and tab."""
    return _CONTROL.sub("", text)


def error_message(stderr: Sequence[str]) -> str:
    """Return the last error of a Nix command's standard error, cleaned and bounded.

    Without any "error:" the last lines are given. The word itself is left out.
    """
    lines = strip_control("\n".join(stderr)).split("\n")
    starts = [number for number, line in enumerate(lines) if _ERROR.match(line)]
    # A trace (2.20 and later) is one block: "error:", the frames, "error: why".
    # Its last part is the cause.
    block = lines[starts[-1] :] if starts else [x for x in lines if x.strip()][-10:]
    if starts:
        block = [_ERROR.sub("", block[0]), *block[1:]]
    return bounded("\n".join(block))


def bounded(text: str) -> str:
    """Keep 20 lines and 2000 characters: the first ones, where an error is named.

    Blank lines and the margin that all but the first line share are left out.
    """
    told = [line.rstrip() for line in text.split("\n") if line.strip()]
    first, *rest = [line for line in told if not _ADVICE.match(line)] or [""]
    margin = min((len(x) - len(x.lstrip()) for x in rest), default=0)
    lines = [first.strip(), *(line[margin:] for line in rest)]
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], "…"]
    kept = "\n".join(lines)
    if len(kept) > MAX_CHARACTERS:
        kept = kept[: MAX_CHARACTERS - 1] + "…"
    return kept


def log_end(lines: Sequence[str]) -> str:
    """Quote the last lines of a log: the very last one is there in any case."""
    quoted: list[str] = []
    left = MAX_CHARACTERS
    for line in reversed(lines):
        text = line.rstrip()
        if len(text) > _QUOTED_LINE:
            text = text[: _QUOTED_LINE - 1] + "…"
        left -= len(text)
        if len(quoted) == MAX_LINES or left < 0:
            break
        if text:
            quoted.append(f"> {text}")
    return "\n".join(reversed(quoted))
