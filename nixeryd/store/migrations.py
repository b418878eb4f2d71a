"""Migrations: an index of an older version becomes one of today, and keeps its rows.

`PRAGMA user_version` tells an index's version. A step takes it from one version to the
next, in one transaction together with the number: after a kill or a power cut it is the
older version or the newer one, and the next start goes on from there.

To change the schema: write the change in the tables' definitions for new indexes, and
append to `STEPS` the SQL that makes the same of the last version. Once released, a step
never changes, so it is written out and uses nothing that may change elsewhere. A table
or an index that is only added needs no step: every start makes what is missing.

https://www.sqlite.org/pragma.html#pragma_user_version
https://www.sqlite.org/lang_altertable.html#otheralter
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from nixeryd.images.errors import NixerydError

FIRST: Final = 2
"""The oldest version that can be migrated: that of commit 7ec3a5e."""

STEPS: Final[tuple[str, ...]] = (
    # 3: a manifest's type is what each place says; one list of tags for each place.
    """
ALTER TABLE mirrored_manifests ADD COLUMN media_type TEXT;
CREATE TABLE mirrored_lists (
    upstream TEXT NOT NULL,
    repository TEXT NOT NULL,
    subject TEXT NOT NULL,
    items TEXT NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (upstream, repository, subject)
) STRICT;
INSERT INTO mirrored_lists
    SELECT upstream, repository, '', tags, length(tags) FROM mirrored_tag_pages
    WHERE n = -1 AND last = '' AND next_last IS NULL AND length(tags) <= 4194304
    LIMIT 1000;
DROP TABLE mirrored_tag_pages;
""",
)
"""SQL from each version to the next, the first from `FIRST`."""

log = structlog.get_logger()


class NewerIndexError(NixerydError):
    """The index was written by a newer nixeryd; it is left as it is."""


class UnknownIndexError(sqlite3.DatabaseError):
    """The index has a version that can't be migrated."""


def newest(steps: Sequence[str] = STEPS) -> int:
    """Return the version that the steps lead to."""
    return FIRST + len(steps)


def version_of(connection: sqlite3.Connection) -> int:
    """Return an index's version; 0 for one that was never made whole."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def migrate(
    connection: sqlite3.Connection, path: Path, steps: Sequence[str] = STEPS
) -> None:
    """Bring the index in `path` to the newest version.

    Raises `NewerIndexError`, and `UnknownIndexError` for a version before `FIRST`.
    """
    version = version_of(connection)
    if version > newest(steps):
        raise NewerIndexError(
            f"the index {path} was written by a newer nixeryd (version {version}; this"
            f" one knows {newest(steps)} and older): start the newer one, or give"
            " another directory with --data-dir, or move the index away to begin anew"
            " without its names and pins"
        )
    if version < FIRST:
        message = f"index version {version} is older than {FIRST}"
        raise UnknownIndexError(message)
    for number, step in enumerate(steps[version - FIRST :], start=version + 1):
        run_script(connection, step, number)
        log.info("index migrated", path=str(path), version=number)


def run_script(connection: sqlite3.Connection, script: str, version: int) -> None:
    """Run SQL and set the version, both or neither; safe from a power cut."""
    connection.execute("PRAGMA synchronous = FULL")
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{script}\n;PRAGMA user_version = {version};\nCOMMIT;"
        )
    except BaseException:
        connection.rollback()
        raise
    finally:
        connection.execute("PRAGMA synchronous = NORMAL")
