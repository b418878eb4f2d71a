"""Sizes as people write them: "20GB", "500 MB", "1.5TiB", "0".

Decimal units are powers of 1000 and binary ones (with an i) powers of 1024, as
the IEC defines them; a number alone is bytes. "20G" and "20gb" are refused, for
programs disagree on what they mean.
"""

import re
from typing import Final

from nixeryd.images.errors import NixerydError

_UNITS: Final = {
    "": 1,
    "B": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate("kMGTP", 1)},
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGTP", 1)},
    "KB": 1000,
}
_SIZE = re.compile(r"(\d+)(?:\.(\d+))? ?([A-Za-z]*)", re.ASCII)
_MOST: Final = 2**63 - 1  # what a file system can hold


class SizeError(NixerydError):
    """What was written is no size."""


def parse_size(text: str) -> int:
    """Read a size in bytes, rounded down; raises `SizeError`."""
    found = _SIZE.fullmatch(text)
    if found is None or found[3] not in _UNITS:
        raise SizeError(f"{text!r} is not a size: write it like 20GB, 500MB or 1.5TiB")
    whole, fraction, unit = found[1], found[2] or "", _UNITS[found[3]]
    if len(whole) > len(str(_MOST)):
        raise SizeError(f"{text[:40]!r} is more than any disk holds")
    size: int = int(whole + fraction) * unit // 10 ** len(fraction)
    if size > _MOST:
        raise SizeError(f"{text!r} is more than any disk holds")
    return size


def render_size(size: int) -> str:
    """Write a number of bytes with three digits and a decimal unit."""
    if size < 1000:  # noqa: PLR2004  where the first unit begins
        return f"{size} B"
    amount = float(size)
    letters = iter("kMGTP")
    letter = next(letters)
    amount /= 1000
    while amount >= 999.5 and letter != "P":  # noqa: PLR2004  would show four digits
        amount /= 1000
        letter = next(letters)
    digits = 0 if amount >= 99.95 else 1 if amount >= 9.995 else 2  # noqa: PLR2004
    return f"{amount:.{digits}f} {letter}B"
