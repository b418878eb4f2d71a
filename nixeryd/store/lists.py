"""Lists that upstreams gave: the tags of a repository, the referrers of a manifest.

Part of the index and on its connection (`index.py`). Kept so that there is something
to say when the upstream is down. What one upstream can make us keep is bounded, and
what was written first goes first; eviction frees the lists of repositories of which
nothing else is left.
"""

import sqlite3
from typing import Final

from nixeryd.images.digests import Digest
from nixeryd.store.mirrored import UpstreamRepository

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS mirrored_lists (
    upstream TEXT NOT NULL,
    repository TEXT NOT NULL,
    subject TEXT NOT NULL,       -- the manifest referred to; '': the list is of tags
    items TEXT NOT NULL,         -- JSON
    size INTEGER NOT NULL,       -- of the items, in bytes
    PRIMARY KEY (upstream, repository, subject)
) STRICT;
"""

# Bytes of a list; one that is longer is passed on, and not kept.
LARGEST: Final = 4 << 20
# Bytes and number of all lists of one upstream.
MOST_BYTES: Final = 16 << 20
MOST_LISTS: Final = 1000

_TRIM = """
DELETE FROM mirrored_lists WHERE rowid IN (
    SELECT id FROM (
        SELECT rowid AS id, sum(size) OVER later AS bytes, count(*) OVER later AS lists
        FROM mirrored_lists WHERE upstream = ?
        WINDOW later AS (ORDER BY rowid DESC ROWS UNBOUNDED PRECEDING)
    ) WHERE bytes > ? OR lists > ?
)
"""
FREE: Final = """
DELETE FROM mirrored_lists WHERE NOT EXISTS (
    SELECT 1 FROM mirrored_manifests AS kept
    WHERE kept.upstream = mirrored_lists.upstream
    AND kept.repository = mirrored_lists.repository
)
"""


class Lists:
    """Rows of lists, each as JSON."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def find(
        self, place: UpstreamRepository, subject: Digest | None = None
    ) -> str | None:
        """Find the list that the upstream last gave: of referrers, or of tags."""
        row = self._db.execute(
            "SELECT items FROM mirrored_lists"
            " WHERE upstream = ? AND repository = ? AND subject = ?",
            (place.upstream, place.repository, _key(subject)),
        ).fetchone()
        return None if row is None else str(row[0])

    def keep(
        self, place: UpstreamRepository, subject: Digest | None, items: str
    ) -> None:
        """Keep a list instead of the one before, as far as there is room."""
        size = len(items.encode())
        with self._db:
            self._forget(place, subject)
            if size <= LARGEST:
                self._db.execute(
                    "INSERT INTO mirrored_lists VALUES (?, ?, ?, ?, ?)",
                    (place.upstream, place.repository, _key(subject), items, size),
                )
                self._db.execute(_TRIM, (place.upstream, MOST_BYTES, MOST_LISTS))

    def forget(self, place: UpstreamRepository, subject: Digest | None = None) -> None:
        """Forget a list: the upstream says that there is none."""
        with self._db:
            self._forget(place, subject)

    def size(self) -> int:
        """Count the bytes of all lists."""
        total = "SELECT coalesce(sum(size), 0) FROM mirrored_lists"
        (size,) = self._db.execute(total).fetchone()
        return int(size)

    def _forget(self, place: UpstreamRepository, subject: Digest | None) -> None:
        self._db.execute(
            "DELETE FROM mirrored_lists"
            " WHERE upstream = ? AND repository = ? AND subject = ?",
            (place.upstream, place.repository, _key(subject)),
        )


def _key(subject: Digest | None) -> str:
    return "" if subject is None else str(subject)
