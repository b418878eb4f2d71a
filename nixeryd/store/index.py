"""The index: what the blobs are. SQLite, one writer, write-ahead log.

A row is written only after the bytes it names are safe (`blobs.py`). With
synchronous=NORMAL a power cut may lose the last rows, never the file's
consistency (https://www.sqlite.org/wal.html#performance_considerations); a lost
row costs a repacking. They are the last since a call of `sync`. A look-up takes
some 10 µs, so the daemon's own thread does it; a connection belongs to the thread
that opened it.
"""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from nixeryd.images.digests import Digest
from nixeryd.images.manifests import LayerDescriptor
from nixeryd.store import migrations
from nixeryd.store.blobs import StoreFullError
from nixeryd.store.connection import IndexUnusableError, connect, explained
from nixeryd.store.contents import ImageContents
from nixeryd.store.lists import Lists
from nixeryd.store.mirrored import Mirrored, UpstreamRepository
from nixeryd.store.names import VIEWS, Names
from nixeryd.store.numbers import Numbers
from nixeryd.store.origins import Origins
from nixeryd.store.readings import Readings
from nixeryd.store.recent import Recent
from nixeryd.store.reserve import RESERVE, Reserve
from nixeryd.store.schema import TABLES
from nixeryd.store.sizes import Sizes

_SET_USED = "UPDATE uses SET used = ? WHERE manifest = ?"
_LATE = "SELECT manifest FROM uses WHERE used > ? ORDER BY used DESC"


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest of ours, or a mirrored one, with each blob that it needs once.

    All blobs of ours were here when it was written. Those of a mirrored one come as
    they are asked for; those of an index are the manifests it names.
    """

    digest: Digest
    media_type: str
    blobs: tuple[Digest, ...]
    size: int


class Index:
    """Rows about blobs; see the schema for what each table says."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, *, is_new: bool
    ) -> None:
        self._db = connection
        self._path = path
        self.is_new = is_new  # it knows nothing of what may be there
        self.names = Names(connection)
        self._numbers = Numbers(connection)
        self.mirrored = Mirrored(connection, self._numbers)
        self.lists = Lists(connection)
        self.insides = ImageContents(connection)
        self.origins = Origins(connection)
        self._readings = Readings(connection)
        self._recent = Recent(connection)
        self.blob_size = Sizes(path)

    def sync(self) -> None:
        """Make all rows safe from a power cut. In a thread: it waits for the disk."""
        _sync(self._path)

    def layer(self, key: str) -> LayerDescriptor | None:
        """Find the layer that was packed under this key."""
        row = self._db.execute(
            "SELECT digest, diff_id, size, media_type FROM layers WHERE key = ?",
            (key,),
        ).fetchone()
        if row is None:
            return None
        digest, diff_id, size, media_type = row
        return LayerDescriptor(
            digest=Digest.parse(digest),
            diff_id=Digest.parse(diff_id),
            size=size,
            media_type=media_type,
        )

    def layer_paths(self, digest: Digest) -> tuple[str, ...]:
        """Name the store paths in a layer of ours; none if it is not known."""
        row = self._db.execute(
            "SELECT paths FROM layers WHERE digest = ?", (str(digest),)
        ).fetchone()
        return () if row is None else tuple(json.loads(row[0]))

    def add_layer(self, key: str, layer: LayerDescriptor, paths: Sequence[str]) -> None:
        """Remember a packed layer."""
        with self._db:
            self._numbers.add_blob(layer.digest, layer.size)
            self._db.execute(
                "INSERT OR REPLACE INTO layers VALUES (?, ?, ?, ?, ?, ?)",
                (
                    key,
                    str(layer.digest),
                    str(layer.diff_id),
                    layer.size,
                    layer.media_type,
                    json.dumps(list(paths)),
                ),
            )

    def manifest(self, digest: Digest) -> StoredManifest | None:
        """Find a manifest by its digest."""
        row = self._db.execute(
            "SELECT media_type, needs, size FROM manifests WHERE digest = ?",
            (str(digest),),
        ).fetchone()
        if row is None:
            return None
        media_type, needs, size = row
        return StoredManifest(
            digest=digest,
            media_type=media_type,
            blobs=self._numbers.read(needs),
            size=size,
        )

    def manifests(self) -> set[str]:
        """Return the digests of all manifests."""
        rows = self._db.execute("SELECT digest FROM manifests")
        return {digest for (digest,) in rows}

    def build(self, key: str) -> StoredManifest | None:
        """Find the manifest that was made of these outputs and settings."""
        return self._recent.get(("build", key), partial(self._build, key))

    def _build(self, key: str) -> StoredManifest | None:
        row = self._db.execute(
            "SELECT manifest FROM builds WHERE key = ?", (key,)
        ).fetchone()
        return None if row is None else self.manifest(Digest.parse(row[0]))

    def add_blob(self, digest: Digest, size: int) -> None:
        """Remember a blob that is here; `size` in bytes."""
        with self._db:
            self._numbers.add_blob(digest, size)

    def add_manifest(self, manifest: StoredManifest) -> None:
        """Remember a manifest."""
        with self._db:
            self._add_manifest(manifest)

    def add_mirrored(
        self, place: UpstreamRepository, manifest: StoredManifest, size: int
    ) -> None:
        """Remember a manifest that is here, of `size` bytes, and where it is from.

        At once: without its place it is taken for one of ours, which has all its blobs.
        Its type is that place's alone: what another said first stays the common one.
        """
        known = self.manifest(manifest.digest)
        media_type = manifest.media_type if known is None else known.media_type
        with self._db:
            self._numbers.add_blob(manifest.digest, size)
            self._add_manifest(replace(manifest, media_type=media_type))
            self.mirrored.insert_manifest(place, manifest.digest, manifest.media_type)

    def _add_manifest(self, manifest: StoredManifest) -> None:
        needs = self._numbers.write(manifest.blobs)
        self._db.execute(
            "INSERT OR REPLACE INTO manifests VALUES (?, ?, ?, ?)",
            (str(manifest.digest), manifest.media_type, needs, manifest.size),
        )

    def read_for(self, key: str) -> bytes | None:
        """Return what was read for a build; None if that is not known."""
        return self._recent.get(("read", key), partial(self._readings.get, key))

    def add_build(
        self, key: str, manifest: StoredManifest, read: bytes | None = None
    ) -> None:
        """Remember a manifest and what it was made of, both or neither.

        `read` is what an evaluation read, where that is part of it.
        """
        with self._db:
            self._add_manifest(manifest)
            self._db.execute(
                "INSERT OR REPLACE INTO builds VALUES (?, ?)",
                (key, str(manifest.digest)),
            )
            if read is not None:
                self._readings.add(key, read)

    def set_tag(
        self, image: str, tag: str, repository: str, manifest: Digest, now: float
    ) -> None:
        """Point a tag at a manifest; `now` is in seconds since the epoch."""
        with self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO tags VALUES (?, ?, ?, ?, ?)",
                (image, tag, repository, str(manifest), now),
            )

    def set_used(self, used: Mapping[Digest, float], now: float) -> None:
        """Remember when manifests were last used, in seconds since the epoch.

        What was used later than now, as the clock was set back, was used just now.
        """
        rows = [(when, str(digest)) for digest, when in used.items()]
        with self._db:
            # No row for what was evicted in between.
            self._db.executemany(_SET_USED, rows)
            late = self._db.execute(_LATE, (now + 1,)).fetchall()
            rows = [(now - n / 1000, digest) for n, (digest,) in enumerate(late)]
            self._db.executemany(_SET_USED, rows)

    def tagged(self, image: str, tag: str) -> Digest | None:
        """Find what a tag points at."""
        return self._recent.get(("tag", image, tag), partial(self._tagged, image, tag))

    def _tagged(self, image: str, tag: str) -> Digest | None:
        row = self._db.execute(
            "SELECT manifest FROM tags WHERE image = ? AND tag = ?", (image, tag)
        ).fetchone()
        return None if row is None else Digest.parse(row[0])

    def tags(self, image: str) -> list[str]:
        """List the tags of an image that were built, sorted."""
        rows = self._db.execute(
            "SELECT tag FROM tags WHERE image = ? ORDER BY tag", (image,)
        )
        return [tag for (tag,) in rows]


@contextmanager
def open_index(path: Path) -> Iterator[Index]:
    """Open the index: migrated if it is an older one, made anew if it is missing.

    A broken file, or one from before there were migrations, is put aside
    (`index.sqlite.broken`) rather than an end to the daemon: losing it costs names,
    pins and repacking, but no blobs; see `recovery`. Raises `NewerIndexError` for one
    that is newer than this program, and `StoreFullError` or `IndexUnusableError` if it
    may be whole but cannot be used.
    """
    try:
        connection, is_new = _connect(path)
    except (StoreFullError, IndexUnusableError):
        # A full disk is an I/O error where the write-ahead log has its memory.
        with Reserve(path.with_name(RESERVE)).given_up():
            connection, is_new = _connect(path)
    try:
        index = Index(connection, path, is_new=is_new)
        try:
            yield index
        finally:
            index.blob_size.close()
    finally:
        connection.close()


def _connect(path: Path) -> tuple[sqlite3.Connection, bool]:
    try:
        return _prepare(path)
    except sqlite3.DatabaseError:
        path.replace(path.with_name(path.name + ".broken"))
        for journal in ("-wal", "-shm"):
            path.with_name(path.name + journal).unlink(missing_ok=True)
        return _prepare(path)


def _prepare(path: Path) -> tuple[sqlite3.Connection, bool]:
    connection = connect(path)
    try:
        with explained(path):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            is_new = not connection.execute("SELECT 1 FROM sqlite_master").fetchone()
            if is_new:
                migrations.run_script(connection, TABLES, migrations.newest())
            else:
                migrations.migrate(connection, path)
            # What was added since, and views, which are this connection's.
            connection.executescript(TABLES + VIEWS)
        _sync(path)  # what a crash left
    except BaseException:
        connection.close()
        raise
    return connection, is_new


def _sync(path: Path) -> None:
    # No lock is on this file, or closing it would lose it.
    with suppress(FileNotFoundError), path.with_name(f"{path.name}-wal").open() as log:
        os.fsync(log.fileno())
