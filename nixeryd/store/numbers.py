"""Numbers: a digest that a manifest names is written down once, and has a number.

Part of the index and on its connection (`index.py`): `images.numbering` says what
for. A number is given as long as any manifest may name it, and never again to another
digest; so whoever writes a manifest leases what it names before (`leases`), as an
eviction forgets the numbers of what nobody needs.
"""

import json
import sqlite3
from collections.abc import Iterable
from typing import Final

from nixeryd.images.digests import Digest
from nixeryd.images.numbering import Numbering

SCHEMA = """
CREATE TABLE IF NOT EXISTS digests (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    digest TEXT NOT NULL UNIQUE,
    size INTEGER                 -- bytes of the blob while it is here, if known
) STRICT;
"""
_NUMBERS = """
SELECT number FROM json_each(?) JOIN digests ON digest = value ORDER BY key
"""
_DIGESTS = """
SELECT digest FROM json_each(?) JOIN digests ON number = value ORDER BY key
"""
# A manifest is asked for again and again, and checking its hundred digests would
# take most of that time. 500 of them are some 10 MB.
_MOST: Final = 500


class Numbers:
    """Rows about digests."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._known: dict[str, tuple[Digest, ...]] = {}

    def write(self, digests: Iterable[Digest]) -> str:
        """Return the numbers of distinct digests as JSON, in a transaction of yours."""
        texts = list(dict.fromkeys(map(str, digests)))
        self._db.executemany(
            "INSERT OR IGNORE INTO digests (digest) VALUES (?)",
            [(text,) for text in texts],
        )
        rows = self._db.execute(_NUMBERS, (json.dumps(texts),))
        return json.dumps([number for (number,) in rows])

    def read(self, numbers: str) -> tuple[Digest, ...]:
        """Return the digests of what was written."""
        digests = self._known.get(numbers)
        if digests is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            rows = self._db.execute(_DIGESTS, (numbers,))
            digests = tuple(Digest.parse(digest) for (digest,) in rows)
            self._known[numbers] = digests
        return digests

    def add_blob(self, digest: Digest, size: int) -> None:
        """Remember that a blob is here, in a transaction of yours."""
        self._db.execute(
            "INSERT INTO digests (digest, size) VALUES (?, ?)"
            " ON CONFLICT (digest) DO UPDATE SET size = excluded.size",
            (str(digest), size),
        )

    def all(self) -> tuple[Numbering, list[int | None]]:
        """Return all digests with their numbers, and the sizes by number."""
        digests: list[str] = []
        sizes: list[int | None] = []
        rows = self._db.execute(
            "SELECT number, digest, size FROM digests ORDER BY number"
        )
        for number, digest, size in rows:
            while len(digests) < number:  # it went
                digests.append("")
                sizes.append(None)
            digests.append(digest)
            sizes.append(size)
        return Numbering(digests), sizes
