"""Guess what a mistyped package name meant. Pure."""

import difflib
from collections.abc import Iterable, Sequence

_MAX_HINTS = 3
_MAX_LENGTH_DIFFERENCE = 2


def nearest(name: str, path: Sequence[str], siblings: Iterable[str]) -> list[str]:
    """Give up to three names near to `name`, as an image name would spell them.

    `siblings` are the attributes of the set `path`, where nothing matched the
    component of `name` after it.
    """
    parts = name.split(".")
    wanted = parts[min(len(path), len(parts) - 1)].lower()
    # difflib takes 50 µs a pair; of 25000 names most are out of the question.
    candidates = {
        sibling.lower(): None
        for sibling in siblings
        if abs(len(sibling) - len(wanted)) <= _MAX_LENGTH_DIFFERENCE
        and not sibling.startswith("_")
    }
    near = difflib.get_close_matches(wanted, candidates, n=_MAX_HINTS, cutoff=0.6)
    prefix = "".join(f"{part.lower()}." for part in path)
    return [prefix + match for match in near]
