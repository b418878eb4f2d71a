"""What a check found."""

from dataclasses import dataclass
from enum import StrEnum

from nixeryd.images.logins import mask


class Level(StrEnum):
    """How much it matters."""

    OK = "ok"
    NOTE = "note"  # works, and could be better; or could not be looked at
    BROKEN = "broken"  # something will not work


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding; `advice` is what to type or do, "" if nothing."""

    check: str
    level: Level
    text: str
    advice: str = ""


def ok(check: str, text: str) -> Finding:
    """Say that something is as it should be."""
    return Finding(check, Level.OK, mask(text))


def note(check: str, text: str, advice: str = "") -> Finding:
    """Say that something could be better."""
    return Finding(check, Level.NOTE, mask(text), mask(advice))


def broken(check: str, text: str, advice: str = "") -> Finding:
    """Say that something will not work."""
    return Finding(check, Level.BROKEN, mask(text), mask(advice))
