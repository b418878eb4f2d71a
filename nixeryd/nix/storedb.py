"""Read a closure from Nix's own database: milliseconds, where a process takes 30 to 40.

Whether that is safe: the file is no public interface "and can change at any time"
(https://discourse.nixos.org/t/nix-s-sqlite-db-semantics/3752). But what is read here
is the same in Nix since 2016 (schema 10), in Lix and in Determinate Nix, where only
columns and tables were added; `hash` is "base16 representation". In development
were seen a schema 11 whose `hash` means something else and, called 10 still, `Refs`
that lead to another table. So nothing is believed but schema 10 with these foreign
keys; of all else, and where it cannot be read, Nix itself is asked.

It is opened to read only, and in WAL mode, Nix's default, nobody waits for a reader.
https://github.com/NixOS/nix/blob/d961c29c/src/libstore/schema.sql
"""

import base64
import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from nixeryd.images.closures import Closure, PathInfo

_SCHEMA: Final = "10"
_KEYS: Final = {("ValidPaths", "referrer", "id"), ("ValidPaths", "reference", "id")}
_HASH: Final = re.compile(r"sha256:([0-9a-f]{64})")
_PATIENCE: Final = 1.0  # seconds, if somebody holds a lock

_CLOSURE: Final = """
CREATE TEMP TABLE closure AS
WITH RECURSIVE found (id) AS (
    SELECT id FROM ValidPaths WHERE path IN (SELECT value FROM json_each(?))
    UNION SELECT reference FROM found JOIN Refs ON referrer = found.id
)
SELECT id FROM found
"""
_PATHS: Final = "SELECT id, path, hash, narSize FROM closure JOIN ValidPaths USING (id)"
_REFERENCES: Final = (
    "SELECT referrer, path FROM closure JOIN Refs ON referrer = closure.id"
    " JOIN ValidPaths ON ValidPaths.id = reference WHERE referrer <> reference"
)


def read_closure(database: Path, roots: Sequence[str]) -> Closure | None:
    """Return the closure of store paths; None where Nix must be asked.

    So if one is not valid, too: Nix says it better. For a worker thread.
    """
    try:
        if (database.parent / "schema").read_text().strip() != _SCHEMA:
            return None
        uri = f"{database.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=_PATIENCE)) as connection:
            return _read(connection, roots)
    except (OSError, sqlite3.Error):
        return None


def _read(db: sqlite3.Connection, roots: Sequence[str]) -> Closure | None:
    keys = db.execute("SELECT * FROM pragma_foreign_key_list('Refs')")
    if {(table, column, to) for _, _, table, column, to, *_ in keys} != _KEYS:
        return None
    db.execute("BEGIN")  # one state for all that follows
    db.execute(_CLOSURE, (json.dumps(list(roots)),))
    references = defaultdict(list)
    for number, path in db.execute(_REFERENCES):
        references[number].append(path)
    closure = {}
    for number, path, written, size in db.execute(_PATHS):
        nar_hash = _nar_hash(written)
        if not size or nar_hash is None:
            return None
        closure[path] = PathInfo(
            path, size, tuple(sorted(references[number])), nar_hash
        )
    return closure if closure.keys() >= set(roots) else None


def _nar_hash(written: str) -> str | None:
    """Write a hash as `nix path-info` does."""
    match = _HASH.fullmatch(written)
    if match is None:
        return None
    return f"sha256-{base64.b64encode(bytes.fromhex(match[1])).decode()}"
