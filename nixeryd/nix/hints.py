"""What a mistyped or missing package name may have meant. Pure."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Final

from nixeryd.images.names import META_PACKAGES

_MAX_HINTS: Final = 3
_MAX_LENGTH_DIFFERENCE: Final = 2
_FEW: Final = 20
"""A set of so few packages is listed whole."""


def explain_missing(
    name: str, path: Sequence[str], siblings: Sequence[str], nested: Iterable[str] = ()
) -> str:
    """Return the message for a package that a set does not have, with what may help.

    `siblings` are the attributes of the set `path`, where nothing matched the
    component of `name` after it. `nested` are attributes of sets within the package
    set, such as `python3Packages.requests`.
    """
    message = f"there is no package {name}"
    if name in META_PACKAGES:
        return f"{message}; as it is no package but an option, it comes first: {name}/…"
    wanted = name.lower()
    hints = [one.lower() for one in nested if one.lower().endswith(f".{wanted}")]
    hints += nearest(name, path, siblings)
    hints += _near(wanted, {_last(one): one.lower() for one in nested})
    found = list(dict.fromkeys(hints))[:_MAX_HINTS]
    if found:
        return f"{message}; did you mean {' or '.join(found)}?"
    public = sorted(one for one in siblings if not one.startswith("_"))
    if not path and 0 < len(public) <= _FEW:
        return f"{message}; the set has {', '.join(public)}"
    return message


def nearest(name: str, path: Sequence[str], siblings: Iterable[str]) -> list[str]:
    """Return up to three names near to `name`, as an image name spells them."""
    parts = name.split(".")
    wanted = parts[min(len(path), len(parts) - 1)].lower()
    prefix = "".join(f"{part.lower()}." for part in path)
    known = {one.lower(): prefix + one.lower() for one in siblings}
    return _near(wanted, known)


def _near(wanted: str, known: dict[str, str]) -> list[str]:
    # difflib takes 50 µs a pair; of 25,000 names most are out of the question.
    candidates = [
        one
        for one in known
        if abs(len(one) - len(wanted)) <= _MAX_LENGTH_DIFFERENCE and one[:1] != "_"
    ]
    near = difflib.get_close_matches(wanted, candidates, n=_MAX_HINTS, cutoff=0.6)
    return [known[one] for one in near]


def _last(name: str) -> str:
    return name.rpartition(".")[2].lower()
