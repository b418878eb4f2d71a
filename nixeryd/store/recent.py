"""Recent look-ups: what the index said, until anything is written.

A warm manifest asks the same few rows again and again. The law: all writes go
through one connection, and `total_changes` counts them; an answer is given again
only if that is what it was. Nothing is looked up inside a transaction, so none
that is rolled back was seen.

https://docs.python.org/3/library/sqlite3.html#sqlite3.Connection.total_changes
"""

import sqlite3
from collections.abc import Callable, Hashable
from typing import Any, Final, TypeVar

_MOST: Final = 200  # answers; a manifest's is some 20 kB

V = TypeVar("V")


class Recent:
    """Answers of a connection since its last write."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._changes = -1
        self._answers: dict[Hashable, Any] = {}

    def get(self, key: Hashable, look_up: Callable[[], V]) -> V:
        """Return the answer to `key`, looked up if it may be another by now."""
        changes = self._db.total_changes
        if changes != self._changes or len(self._answers) >= _MOST:
            self._changes = changes
            self._answers.clear()
        try:
            answer: V = self._answers[key]
        except KeyError:
            answer = self._answers[key] = look_up()
        return answer
