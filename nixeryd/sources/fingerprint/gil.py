"""Lets the event loop have its turn while a worker thread reads files.

Law: a thread that does little but short system calls gives the interpreter's
lock away at each and takes it back before a waiting thread has woken up; each
giving-away starts the wait for a forced switch anew (CPython 3.11,
Python/ceval_gil.h, take_gil). On a busy machine the event loop was measured to
stand still for seconds. So such a thread truly sleeps, for a moment, often.
"""

import time
from collections.abc import Callable

_WORK = 0.004  # seconds at a stretch
_REST = 0.0005


class GilYielder:
    """A checkpoint: call it in every round of a long loop."""

    def __init__(self, check: Callable[[], None] | None = None) -> None:
        """Call `check` at each rest; what it raises ends the loop."""
        self._check = check
        self._rested = time.monotonic()

    def __call__(self) -> None:
        """Rest if it is time to."""
        if time.monotonic() - self._rested < _WORK:
            return
        if self._check is not None:
            self._check()
        time.sleep(_REST)
        self._rested = time.monotonic()
