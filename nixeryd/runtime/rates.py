"""How fast bytes come, lately, and how long the rest will take. Pure."""

from collections import deque
from typing import Final

_WINDOW: Final = 5.0  # seconds: long enough not to jump, short enough to be now
_STEP: Final = 0.2  # seconds between two samples


class Rate:
    """The rate of one transfer; times are in seconds on any clock that only grows."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()
        self._done = 0

    def __repr__(self) -> str:
        return f"<Rate {self._done} bytes>"

    def add(self, now: float, done: int) -> None:
        """Note that so many bytes are here now."""
        self._done = done
        if not self._samples or now - self._samples[-1][0] >= _STEP:
            self._samples.append((now, done))
            self._forget(now)

    def _forget(self, now: float) -> None:
        # One that is older than the window stays, to measure all of it.
        while len(self._samples) > 1 and now - self._samples[1][0] >= _WINDOW:
            self._samples.popleft()

    def per_second(self, now: float) -> float:
        """Return the bytes per second of the last seconds, 0 if nobody can tell yet."""
        if not self._samples:
            return 0.0
        self._forget(now)
        since, before = self._samples[0]
        return max(0, self._done - before) / max(now - since, _STEP)

    def left(self, now: float, expected: int) -> float | None:
        """Return the seconds that the rest takes at this rate; None if it stands."""
        rate = self.per_second(now)
        rest = max(0, expected - self._done)
        return rest / rate if rate else None
