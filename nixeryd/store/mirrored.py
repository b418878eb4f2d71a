"""What is mirrored: which upstream has which manifests, and its tags.

Part of the index and on its connection (`index.py`): a row is written only after the
bytes it names are safe. Nothing here decides what may be served; a mirrored manifest
itself is in the index's common table, but its type is that of the place it is from.
"""

import sqlite3
from dataclasses import dataclass

from nixeryd.images.digests import Digest
from nixeryd.images.freshness import Entry
from nixeryd.store.numbers import Numbers

SCHEMA = """
CREATE TABLE IF NOT EXISTS mirrored_manifests (
    digest TEXT NOT NULL REFERENCES manifests (digest),
    upstream TEXT NOT NULL,      -- where it is from, and so the blobs it names
    repository TEXT NOT NULL,
    media_type TEXT,             -- as it says there; NULL: as in `manifests`
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
"""


@dataclass(frozen=True, slots=True, order=True)
class UpstreamRepository:
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

    def tag(self, place: UpstreamRepository, tag: str) -> Entry | None:
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

    def set_tag(self, place: UpstreamRepository, tag: str, entry: Entry) -> None:
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

    def tags(self) -> list[tuple[UpstreamRepository, str, Entry]]:
        """List all tags that were pulled, by name."""
        rows = self._db.execute(
            "SELECT upstream, repository, tag, manifest, checked, gone"
            " FROM mirrored_tags ORDER BY upstream, repository, tag"
        )
        return [
            (
                UpstreamRepository(upstream, repository),
                tag,
                Entry(Digest.parse(digest), when, bool(g)),
            )
            for upstream, repository, tag, digest, when, g in rows
        ]

    def count_tags(self) -> int:
        """Count them."""
        (number,) = self._db.execute("SELECT count(*) FROM mirrored_tags").fetchone()
        return int(number)

    def add_manifest(
        self, place: UpstreamRepository, digest: Digest, media_type: str
    ) -> None:
        """Remember where a manifest is from, and of which type it is there."""
        with self._db:
            self.insert_manifest(place, digest, media_type)

    def insert_manifest(
        self, place: UpstreamRepository, digest: Digest, media_type: str
    ) -> None:
        """Remember where a manifest is from, in a transaction of yours."""
        self._db.execute(
            "INSERT OR REPLACE INTO mirrored_manifests"
            " (digest, upstream, repository, media_type) VALUES (?, ?, ?, ?)",
            (str(digest), place.upstream, place.repository, media_type),
        )

    def media_type(self, place: UpstreamRepository, digest: Digest) -> str | None:
        """Tell of which type a manifest is there; None if it was not had from there."""
        row = self._db.execute(
            "SELECT coalesce(here.media_type, manifests.media_type)"
            " FROM mirrored_manifests AS here JOIN manifests USING (digest)"
            " WHERE digest = ? AND upstream = ? AND repository = ?",
            (str(digest), place.upstream, place.repository),
        ).fetchone()
        return None if row is None else str(row[0])

    def places(self, digest: Digest) -> list[UpstreamRepository]:
        """List where a manifest can be had again, and the blobs it names."""
        rows = self._db.execute(
            "SELECT upstream, repository FROM mirrored_manifests WHERE digest = ?"
            " ORDER BY upstream, repository",
            (str(digest),),
        )
        return [
            UpstreamRepository(upstream, repository) for upstream, repository in rows
        ]

    def add_blob(self, digest: Digest, size: int) -> None:
        """Remember a blob that was fetched; `size` in bytes."""
        with self._db:
            self._numbers.add_blob(digest, size)
