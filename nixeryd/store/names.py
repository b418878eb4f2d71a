"""Names: the tags that lead to manifests, of Nix images and of mirrored ones.

Part of the index and on its connection (`index.py`). A pin belongs to a name, so
that it stays when the name moves on to another manifest.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from nixeryd.images.digests import Digest
from nixeryd.store import lists
from nixeryd.store.connection import durably

SCHEMA = """
CREATE TABLE IF NOT EXISTS pins (
    kind TEXT NOT NULL,          -- names.Kind
    image TEXT NOT NULL,
    tag TEXT NOT NULL,
    PRIMARY KEY (kind, image, tag)
) STRICT;
CREATE INDEX IF NOT EXISTS tags_by_manifest ON tags (manifest);
CREATE INDEX IF NOT EXISTS builds_by_manifest ON builds (manifest);
CREATE INDEX IF NOT EXISTS mirrored_tags_by_manifest ON mirrored_tags (manifest);
CREATE INDEX IF NOT EXISTS layers_by_digest ON layers (digest);
"""
VIEWS = """
CREATE TEMP VIEW names AS
    SELECT 'nix' AS kind, image, tag, repository, manifest, built AS since FROM tags
    UNION ALL
    SELECT 'mirrored', upstream || '/' || repository, tag,
        upstream || '/' || repository, manifest, checked
    FROM mirrored_tags WHERE NOT gone OR EXISTS (
        SELECT 1 FROM pins WHERE pins.kind = 'mirrored'
        AND pins.image = mirrored_tags.upstream || '/' || mirrored_tags.repository
        AND pins.tag = mirrored_tags.tag
    );
"""

_NAMES = """
SELECT kind, image, tag, repository, manifest, since, pins.tag IS NOT NULL
FROM names JOIN manifests ON manifests.digest = names.manifest
LEFT JOIN pins USING (kind, image, tag)
"""

# What says anything of a manifest.
_OF_MANIFEST = (
    "tags.manifest",
    "builds.manifest",
    "uses.manifest",
    "mirrored_tags.manifest",
    "mirrored_manifests.digest",
    "manifests.digest",
)
_FORGET_LAYER = "DELETE FROM layers WHERE digest = ?"
_FORGET_BLOB = (_FORGET_LAYER, "UPDATE digests SET size = NULL WHERE digest = ?")
_FORGET_UNNEEDED = (_FORGET_LAYER, "DELETE FROM digests WHERE digest = ?")


class Kind(StrEnum):
    """Where an image comes from."""

    NIX = "nix"
    MIRRORED = "mirrored"


@dataclass(frozen=True, slots=True)
class Name:
    """A tag of an image, and what it leads to.

    `image` tells images of a kind apart: `ImageName.key`, or upstream and
    repository. `since` is when it was built, or last asked for upstream, in seconds
    since the epoch.
    """

    kind: Kind
    image: str
    tag: str
    repository: str
    manifest: Digest
    since: float
    pinned: bool

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


class Names:
    """Rows about names, and about what they lead to."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def all(self) -> list[Name]:
        """List all names."""
        return _read(self._db.execute(_NAMES))

    def count_built(self) -> int:
        """Count the tags of Nix images."""
        counted = "SELECT count(*) FROM tags JOIN manifests ON digest = manifest"
        (number,) = self._db.execute(counted).fetchone()
        return int(number)

    def find(self, kind: Kind, image: str, tag: str) -> Name | None:
        """Find a name."""
        where = "WHERE kind = ? AND image = ? AND tag = ?"
        found = _read(self._db.execute(_NAMES + where, (kind, image, tag)))
        return found[0] if found else None

    def of(self, manifest: Digest) -> list[Name]:
        """List the names of a manifest."""
        return _read(self._db.execute(_NAMES + "WHERE manifest = ?", (str(manifest),)))

    def pin(self, name: Name) -> None:
        """Keep what this name leads to, now and later, and after a power cut."""
        with durably(self._db):
            self._db.execute(
                "INSERT OR REPLACE INTO pins VALUES (?, ?, ?)",
                (name.kind, name.image, name.tag),
            )

    def unpin(self, name: Name) -> None:
        """Keep it no longer."""
        with self._db:
            self._unpin(name)

    def remove(self, name: Name) -> None:
        """Forget a name and its pin; what it leads to stays."""
        with self._db:
            self._unpin(name)
            image = (
                "image" if name.kind is Kind.NIX else "upstream || '/' || repository"
            )
            table = "tags" if name.kind is Kind.NIX else "mirrored_tags"
            self._db.execute(
                f"DELETE FROM {table} WHERE {image} = ? AND tag = ?",  # noqa: S608  ours
                (name.image, name.tag),
            )

    def needing(self, blobs: Sequence[str]) -> list[str]:
        """List the manifests that are no good without these blobs.

        A mirrored one is, unless it is such a blob itself: the others come again.
        """
        rows = self._db.execute(
            "SELECT digest FROM manifests"
            " WHERE digest IN (SELECT value FROM json_each(:lost))"
            " OR digest NOT IN (SELECT digest FROM mirrored_manifests) AND EXISTS"
            " (SELECT 1 FROM json_each(needs) WHERE value IN"
            " (SELECT number FROM json_each(:lost) AS gone"
            " JOIN digests ON digests.digest = gone.value))",
            {"lost": json.dumps(list(blobs))},
        )
        return [digest for (digest,) in rows]

    def forget(
        self, manifests: Sequence[str], blobs: Sequence[str], *, unneeded: bool = False
    ) -> list[Name]:
        """Forget all that is known of manifests and blobs, for good; give their names.

        If these blobs are `unneeded`, no other manifest names them. It is on the disk
        when this returns: what the index names is there even if the blobs go and then
        the power.
        """
        gone = [name for text in manifests for name in self.of(Digest.parse(text))]
        with durably(self._db):
            for column in _OF_MANIFEST:
                table, _, field = column.partition(".")
                self._db.executemany(
                    f"DELETE FROM {table} WHERE {field} = ?",  # noqa: S608  ours
                    [(digest,) for digest in manifests],
                )
            self._db.execute(lists.FREE)
            for statement in _FORGET_UNNEEDED if unneeded else _FORGET_BLOB:
                self._db.executemany(statement, [(digest,) for digest in blobs])
        return gone

    def _unpin(self, name: Name) -> None:
        self._db.execute(
            "DELETE FROM pins WHERE kind = ? AND image = ? AND tag = ?",
            (name.kind, name.image, name.tag),
        )


def _read(rows: Iterable[tuple[str, str, str, str, str, float, int]]) -> list[Name]:
    return [
        Name(Kind(kind), image, tag, repository, Digest.parse(manifest), since, bool(p))
        for kind, image, tag, repository, manifest, since, p in rows
    ]
