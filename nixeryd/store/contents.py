"""What is inside images of ours: their closures, and what tags pointed at before.

Part of the index and on its connection (`index.py`). A closure is kept with the
manifest it became, as Nix may have collected its paths by the time somebody asks
why they are there; it goes when the manifest's row does. What a tag pointed at is
written down by the database itself, whoever moves it.
"""

import json
import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nixeryd.images.closures import Closure, PathInfo
from nixeryd.images.digests import Digest

HISTORY = 20
"""Digests that are remembered for each tag."""

_TABLES = """
CREATE TABLE IF NOT EXISTS closures (
    manifest TEXT PRIMARY KEY,
    graph BLOB NOT NULL          -- JSON, deflated
) STRICT;
CREATE TRIGGER IF NOT EXISTS manifest_gone AFTER DELETE ON manifests BEGIN
    DELETE FROM closures WHERE manifest = old.digest;
END;
CREATE TABLE IF NOT EXISTS tag_history (
    kind TEXT NOT NULL,          -- names.Kind
    name TEXT NOT NULL,          -- repository:tag
    manifest TEXT NOT NULL,
    since REAL NOT NULL          -- seconds since the epoch
) STRICT;
CREATE INDEX IF NOT EXISTS history_of_name ON tag_history (kind, name);
"""


def _record(  # noqa: PLR0913, PLR0917  a trigger's parts
    table: str, event: str, kind: str, name: str, when: str, unless: str
) -> str:
    """Write the trigger that remembers what a row of `table` leads to, if it is new."""
    of_name = f"kind = '{kind}' AND name = {name}"
    last = (
        f"SELECT manifest FROM tag_history WHERE {of_name}"  # noqa: S608  all ours
        " ORDER BY rowid DESC LIMIT 1"
    )
    kept = (
        f"SELECT rowid FROM tag_history WHERE {of_name}"  # noqa: S608
        f" ORDER BY rowid DESC LIMIT {HISTORY}"
    )
    return f"""
CREATE TRIGGER IF NOT EXISTS {table}_moved_{event.lower()} AFTER {event} ON {table}
WHEN NOT {unless} AND new.manifest IS NOT ({last}) BEGIN
    INSERT INTO tag_history VALUES ('{kind}', {name}, new.manifest, new.{when});
    DELETE FROM tag_history WHERE {of_name} AND rowid NOT IN ({kept});
END;
"""  # noqa: S608


_NIX = ("nix", "new.repository || ':' || new.tag", "built", "0")
_MIRRORED = (
    "mirrored",
    "new.upstream || '/' || new.repository || ':' || new.tag",
    "checked",
    "new.gone",
)
SCHEMA = _TABLES + "".join(
    _record(table, event, *how)
    for table, how in (("tags", _NIX), ("mirrored_tags", _MIRRORED))
    for event in ("INSERT", "UPDATE")
)


@dataclass(frozen=True, slots=True)
class Inside:
    """A closure, the outputs of each package that was asked for, and warnings."""

    closure: Closure
    packages: Mapping[str, tuple[str, ...]]
    warnings: tuple[str, ...] = ()

    @property
    def roots(self) -> tuple[str, ...]:
        return tuple(path for outputs in self.packages.values() for path in outputs)


class ImageContents:
    """Rows about what is inside images."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def add(
        self,
        manifest: Digest,
        closure: Closure,
        packages: Mapping[str, Sequence[str]],
        warnings: Sequence[str] = (),
    ) -> None:
        """Remember the closure that a manifest was made of, and what was warned of."""
        paths = sorted(closure)
        number = {path: index for index, path in enumerate(paths)}
        graph = {
            "packages": packages,
            "warnings": warnings,
            "paths": [
                [
                    path,
                    closure[path].nar_size,
                    [number[ref] for ref in closure[path].references if ref in number],
                ]
                for path in paths
            ],
        }
        with self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO closures VALUES (?, ?)",
                (str(manifest), zlib.compress(json.dumps(graph).encode())),
            )

    def find(self, manifest: Digest) -> Inside | None:
        """Find it; None for an image that is not ours, or from before this was kept."""
        row = self._db.execute(
            "SELECT graph FROM closures WHERE manifest = ?", (str(manifest),)
        ).fetchone()
        if row is None:
            return None
        graph = json.loads(zlib.decompress(row[0]))
        paths = [path for path, _, _ in graph["paths"]]
        closure = {
            path: PathInfo(path, size, tuple(paths[index] for index in references))
            for path, size, references in graph["paths"]
        }
        packages = {name: tuple(found) for name, found in graph["packages"].items()}
        return Inside(closure, packages, tuple(graph.get("warnings", ())))

    def history(self, kind: str, name: str) -> list[tuple[Digest, float]]:
        """List what a tag pointed at, the last first, and since when."""
        rows = self._db.execute(
            "SELECT manifest, since FROM tag_history WHERE kind = ? AND name = ?"
            " ORDER BY rowid DESC",
            (kind, name),
        )
        return [(Digest.parse(manifest), since) for manifest, since in rows]
