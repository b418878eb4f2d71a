"""Where the images of a tag came from: the source, its commit, and when it was built.

Part of the index and on its connection (`index.py`). An image's bytes say nothing of
this, so that equal contents have equal digests on every machine. A row is written for
each build of a tag, also if an earlier build gave the same image; it goes with the tag,
or with the image's manifest.
"""

import sqlite3
from dataclasses import dataclass
from typing import Final

from nixeryd.images.digests import Digest

KEPT: Final = 20
"""Builds that are remembered for each tag."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS origins (
    image TEXT NOT NULL,         -- names.ImageName.key
    tag TEXT NOT NULL,
    manifest TEXT NOT NULL,
    source TEXT NOT NULL,        -- its name in the configuration
    revision TEXT,               -- a commit, "-dirty" behind it if files differ
    built REAL NOT NULL          -- seconds since the epoch
) STRICT;
CREATE INDEX IF NOT EXISTS origins_of_tag ON origins (image, tag);
CREATE INDEX IF NOT EXISTS origins_by_manifest ON origins (manifest);
CREATE TRIGGER IF NOT EXISTS origins_of_manifest_gone AFTER DELETE ON manifests BEGIN
    DELETE FROM origins WHERE manifest = old.digest;
END;
CREATE TRIGGER IF NOT EXISTS origins_of_tag_gone AFTER DELETE ON tags BEGIN
    DELETE FROM origins WHERE image = old.image AND tag = old.tag;
END;
"""
_FORGET = f"""
DELETE FROM origins WHERE image = :image AND tag = :tag AND rowid NOT IN (
    SELECT rowid FROM origins WHERE image = :image AND tag = :tag
    ORDER BY rowid DESC LIMIT {KEPT}
)
"""  # noqa: S608  a number of ours


@dataclass(frozen=True, slots=True)
class Origin:
    """A source in a state.

    `source` is its name in the configuration. `revision` is a commit with "-dirty"
    behind it if files differ, or None for a source without commits.
    """

    source: str
    revision: str | None


@dataclass(frozen=True, slots=True)
class TagBuild:
    """A build of a tag: the manifest, where it came from, and when it was built.

    `built` is in seconds since the epoch.
    """

    manifest: Digest
    origin: Origin
    built: float


class Origins:
    """Rows about where images came from."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def add(self, image: str, tag: str, build: TagBuild) -> None:
        """Remember a build of a tag; `image` is `ImageName.key`."""
        with self._db:
            self._db.execute(
                "INSERT INTO origins VALUES (?, ?, ?, ?, ?, ?)",
                (
                    image,
                    tag,
                    str(build.manifest),
                    build.origin.source,
                    build.origin.revision,
                    build.built,
                ),
            )
            self._db.execute(_FORGET, {"image": image, "tag": tag})

    def of_tag(self, image: str, tag: str) -> list[TagBuild]:
        """Return the builds of a tag, the last one first."""
        rows = self._db.execute(
            "SELECT manifest, source, revision, built FROM origins"
            " WHERE image = ? AND tag = ? ORDER BY rowid DESC",
            (image, tag),
        )
        return [
            TagBuild(Digest.parse(manifest), Origin(source, revision), built)
            for manifest, source, revision, built in rows
        ]
