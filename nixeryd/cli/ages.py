"""How long ago something was, as people say it."""

import time

_UNITS = ((86400 * 365, "years"), (86400, "days"), (3600, "h"), (60, "min"))


def render_age(moment: float) -> str:
    """Say how long ago a moment (in seconds since the epoch) was."""
    seconds = time.time() - moment
    for length, unit in _UNITS:
        if seconds >= length * (2 if unit in ("years", "days") else 1):
            return f"{seconds / length:.0f} {unit} ago"
    return "just now"
