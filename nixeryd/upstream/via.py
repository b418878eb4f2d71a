"""Via: which nixeryds a request came through, so that none is asked in a circle.

Each daemon has a pseudonym of its own. Those that a request brings are passed on with
ours, and nothing else of the header: it is the client's.

https://www.rfc-editor.org/rfc/rfc9110#section-7.6.3
"""

import re
from collections.abc import Iterable
from typing import Final

_PSEUDONYM = re.compile(r"\bnixeryd-[0-9a-z]{4,16}\b", re.ASCII)

LONGEST: Final = 8
"""Mirrors in a row; more are no way that anybody set up."""


def read_via(header: str) -> tuple[str, ...]:
    """Return the pseudonyms in a `Via` header, the first proxy's first."""
    return tuple(_PSEUDONYM.findall(header))


def render_via(pseudonyms: Iterable[str]) -> str:
    """Write a `Via` header."""
    return ", ".join(f"1.1 {name}" for name in pseudonyms)
