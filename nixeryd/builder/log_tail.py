"""The last lines of a log, for who watches it while it is written.

Bounded in number and in bytes, however fast lines come. Lines have numbers, so
that a reader who comes back says where it was and learns what it missed.
"""

from collections import deque
from itertools import islice

MOST = 5000  # lines
MOST_BYTES = 1_000_000
LONGEST = 2000  # characters of one line


class LogTail:
    """Lines by number, from 0; the oldest go first."""

    def __init__(self) -> None:
        self._kept: deque[str] = deque()
        self._size = 0
        self.total = 0

    @property
    def start(self) -> int:
        """The number of the first line that is kept."""
        return self.total - len(self._kept)

    def add(self, line: str) -> None:
        """Add a line, and drop what is too much."""
        if len(line) > LONGEST:
            line = line[:LONGEST] + " [cut]"
        self._kept.append(line)
        self._size += len(line)
        self.total += 1
        while len(self._kept) > MOST or self._size > MOST_BYTES:
            self._size -= len(self._kept.popleft())

    def since(self, number: int, most: int = MOST) -> tuple[int, tuple[str, ...]]:
        """Return the lines from `number` on, at most the last `most` of them.

        And the number of the first: later than asked for if some are gone.
        """
        first = max(number, self.start, self.total - most)
        return first, tuple(islice(self._kept, first - self.start, None))
