"""What the evaluation that led to a build read outside of its source.

Part of the index and on its connection (`index.py`): a row for each build that is known
by the state of a source, opaque here (`fingerprint.outside`). It goes with the build.
"""

import sqlite3
from typing import Final

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS readings (
    key TEXT PRIMARY KEY,        -- of builds
    read BLOB NOT NULL           -- fingerprint.outside.Outside
) STRICT;
CREATE TRIGGER IF NOT EXISTS readings_of_build_gone AFTER DELETE ON builds BEGIN
    DELETE FROM readings WHERE key = old.key;
END;
"""


class Readings:
    """The rows."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def get(self, key: str) -> bytes | None:
        """Return what was read for a build; None if that is not known."""
        row = self._db.execute(
            "SELECT read FROM readings WHERE key = ?", (key,)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def add(self, key: str, read: bytes) -> None:
        """Remember what was read for a build, within a transaction."""
        self._db.execute("INSERT OR REPLACE INTO readings VALUES (?, ?)", (key, read))
