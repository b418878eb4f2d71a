"""What is mirrored: which upstream has which manifests, and its tags.

Part of the index and on its connection (`index.py`): a row is written only after the
bytes it names are safe. Nothing here decides what may be served; a mirrored manifest
itself is in the index's common table.
"""

import json
import sqlite3
from dataclasses import dataclass

from nixeryd.images.digests import Digest
from nixeryd.images.freshness import Entry
from nixeryd.images.served import TagPage
from nixeryd.store.numbers import Numbers

SCHEMA = """
CREATE TABLE IF NOT EXISTS mirrored_manifests (
    digest TEXT NOT NULL REFERENCES manifests (digest),
    upstream TEXT NOT NULL,      -- where it is from, and so the blobs it names
    repository TEXT NOT NULL,
    PRIMARY KEY (digest, upstream, repository)
) STRICT;
CREATE TABLE IF NOT EXISTS mirrored_tags (
    upstream TEXT NOT NULL,
    repository TEXT NOT NULL,
    tag TEXT NOT NULL,
    manifest TEXT NOT NULL,
    checked REAL NOT NULL,       -- seconds since the epoch
    gone INTEGER NOT NULL,       -- 1: the upstream says it is not there, or not for us
    PRIMARY KEY (upstream, repository, tag)
) STRICT;
CREATE TABLE IF NOT EXISTS mirrored_tag_pages (
    upstream TEXT NOT NULL,
    repository TEXT NOT NULL,
    n INTEGER NOT NULL,          -- how many were asked for, -1: no matter
    last TEXT NOT NULL,          -- after which one, '': from the start
    tags TEXT NOT NULL,          -- JSON
    next_last TEXT,
    PRIMARY KEY (upstream, repository, n, last)
) STRICT;
"""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A repository of an upstream."""

    upstream: str
    repository: str

    def __str__(self) -> str:
        return f"{self.upstream}/{self.repository}"


class Mirrored:
    """Rows about what came from upstreams."""

    def __init__(self, connection: sqlite3.Connection, numbers: Numbers) -> None:
        self._db = connection
        self._numbers = numbers

    def tag(self, place: Place, tag: str) -> Entry | None:
        """Find what is known of a tag."""
        row = self._db.execute(
            "SELECT manifest, checked, gone FROM mirrored_tags"
            " WHERE upstream = ? AND repository = ? AND tag = ?",
            (place.upstream, place.repository, tag),
        ).fetchone()
        if row is None:
            return None
        manifest, checked, gone = row
        return Entry(Digest.parse(manifest), checked, bool(gone))

    def set_tag(self, place: Place, tag: str, entry: Entry) -> None:
        """Remember what the upstream said of a tag."""
        with self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO mirrored_tags VALUES (?, ?, ?, ?, ?, ?)",
                (
                    place.upstream,
                    place.repository,
                    tag,
                    str(entry.digest),
                    entry.checked,
                    int(entry.gone),
                ),
            )

    def tags(self) -> list[tuple[Place, str, Entry]]:
        """List all tags that were pulled, by name."""
        rows = self._db.execute(
            "SELECT upstream, repository, tag, manifest, checked, gone"
            " FROM mirrored_tags ORDER BY upstream, repository, tag"
        )
        return [
            (
                Place(upstream, repository),
                tag,
                Entry(Digest.parse(digest), when, bool(g)),
            )
            for upstream, repository, tag, digest, when, g in rows
        ]

    def count_tags(self) -> int:
        """Count them."""
        (number,) = self._db.execute("SELECT count(*) FROM mirrored_tags").fetchone()
        return int(number)

    def add_manifest(self, place: Place, digest: Digest) -> None:
        """Remember where a manifest is from."""
        with self._db:
            self._db.execute(
                "INSERT OR IGNORE INTO mirrored_manifests VALUES (?, ?, ?)",
                (str(digest), place.upstream, place.repository),
            )

    def places(self, digest: Digest) -> list[Place]:
        """List where a manifest can be had again, and the blobs it names."""
        rows = self._db.execute(
            "SELECT upstream, repository FROM mirrored_manifests WHERE digest = ?"
            " ORDER BY upstream, repository",
            (str(digest),),
        )
        return [Place(upstream, repository) for upstream, repository in rows]

    def add_blob(self, digest: Digest, size: int) -> None:
        """Remember a blob that was fetched; `size` in bytes."""
        with self._db:
            self._numbers.add_blob(digest, size)

    def page(self, place: Place, n: int | None, last: str | None) -> TagPage | None:
        """Find the answer that the upstream last gave to this question."""
        row = self._db.execute(
            "SELECT tags, next_last FROM mirrored_tag_pages"
            " WHERE upstream = ? AND repository = ? AND n = ? AND last = ?",
            (place.upstream, place.repository, -1 if n is None else n, last or ""),
        ).fetchone()
        return None if row is None else TagPage(tuple(json.loads(row[0])), row[1])

    def set_page(
        self, place: Place, n: int | None, last: str | None, page: TagPage
    ) -> None:
        """Remember a page of tags."""
        with self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO mirrored_tag_pages VALUES (?, ?, ?, ?, ?, ?)",
                (
                    place.upstream,
                    place.repository,
                    -1 if n is None else n,
                    last or "",
                    json.dumps(page.tags),
                    page.next_last,
                ),
            )
