"""What must be so on the disk at any moment, also right after a SIGKILL.

Whatever the index names is there, whole, with its digest, or there is a recipe that
makes it; and a manifest that a build made has all its blobs. The daemon is not running
when this looks, at a copy of the index: reading the write-ahead log would mend what the
next start must mend.
"""

import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from nixeryd.images.digests import Digest
from nixeryd.store.recipe import find_recipe


def broken(data: Path) -> Iterator[str]:
    """Tell what is not as it must be in a data directory."""
    if not (data / "index.sqlite").exists():
        return  # killed before it was made
    if (data / "index.sqlite.broken").exists():
        yield "the index was put aside as broken"
    with _copy_of_index(data) as index:
        (verdict,) = index.execute("PRAGMA integrity_check").fetchone()
        if verdict != "ok":
            yield f"index: {verdict}"
        if not index.execute(
            "SELECT 1 FROM sqlite_master WHERE name = 'digests'"
        ).fetchone():
            return  # killed while it was made
        yield from _broken_blobs(data, index)
        yield from _broken_manifests(data, index)


@contextmanager
def _copy_of_index(data: Path) -> Iterator[sqlite3.Connection]:
    with tempfile.TemporaryDirectory() as place:
        for name in ("index.sqlite", "index.sqlite-wal"):
            if (data / name).exists():
                shutil.copy(data / name, place)
        with closing(sqlite3.connect(Path(place) / "index.sqlite")) as index:
            yield index


def _broken_blobs(data: Path, index: sqlite3.Connection) -> Iterator[str]:
    rows = index.execute(
        "SELECT 'layer', digest, size FROM layers UNION"
        " SELECT 'blob', digest, size FROM digests WHERE size IS NOT NULL UNION"
        " SELECT 'manifest', digest, NULL FROM manifests"
    )
    for kind, digest, size in rows:
        body = _read(data, digest)
        if body is None:
            yield f"{kind} {digest} is named and not there"
            continue
        if size is not None and size != len(body):
            yield f"{kind} {digest} has {len(body)} bytes, not {size}"
        if f"sha256:{hashlib.sha256(body).hexdigest()}" != digest:
            yield f"{kind} {digest} has other bytes ({len(body)})"


def _broken_manifests(data: Path, index: sqlite3.Connection) -> Iterator[str]:
    rows = index.execute(
        "SELECT digest, needs, digest IN (SELECT digest FROM mirrored_manifests)"
        " FROM manifests"
    )
    for digest, needs, is_mirrored in rows:
        for number in json.loads(needs):
            blob = _digest(index, number)
            if blob is None:
                yield f"the image {digest} needs {number}, which has no digest"
            elif not is_mirrored and not is_here(data, blob):
                yield f"{blob} of the image {digest} is not there"
    for table in ("builds", "tags"):
        rows = index.execute(
            f"SELECT manifest FROM {table}"
            " WHERE manifest NOT IN (SELECT digest FROM manifests)"
        )
        for (digest,) in rows:
            yield f"{table} name {digest}, which is not there"


def _digest(index: sqlite3.Connection, number: int) -> str | None:
    row = index.execute(
        "SELECT digest FROM digests WHERE number = ?", (number,)
    ).fetchone()
    return row and str(row[0])


_PINNED = """
SELECT manifest FROM pins JOIN tags USING (image, tag)
WHERE kind = 'nix' AND repository = :name
UNION SELECT manifest FROM pins JOIN mirrored_tags
ON image = upstream || '/' || repository AND pins.tag = mirrored_tags.tag
WHERE kind = 'mirrored' AND image = :name
"""


def lost_pins(data: Path, kept: Mapping[str, str]) -> Iterator[str]:
    """Tell which names are not pinned, or not to these digests, or not whole."""
    if not kept:
        return
    with _copy_of_index(data) as index:
        for name, digest in kept.items():
            if index.execute(_PINNED, {"name": name}).fetchall() != [(digest,)]:
                yield f"{name} was pinned, and is not"
                continue
            row = index.execute(
                "SELECT needs FROM manifests WHERE digest = ?", (digest,)
            ).fetchone()
            numbers = json.loads(row[0] if row else "[]")
            for blob in (digest, *(_digest(index, number) for number in numbers)):
                if row is None or blob is None or not is_here(data, blob):
                    yield f"{name} was pinned, and {blob} is not there"


def is_here(data: Path, digest: str) -> bool:
    """Tell whether a blob is there, as a file or as a recipe."""
    return _path(data, digest).exists() or _recipe(data, digest).exists()


def _path(data: Path, digest: str) -> Path:
    name = digest.removeprefix("sha256:")
    return data / "blobs" / "sha256" / name[:2] / name


def _recipe(data: Path, digest: str) -> Path:
    path = _path(data, digest)
    return path.with_name(path.name + ".recipe")


def _read(data: Path, digest: str) -> bytes | None:
    path = _path(data, digest)
    if path.exists():
        return path.read_bytes()
    recipe = find_recipe(_recipe(data, digest), Digest.parse(digest))
    return None if recipe is None else b"".join(recipe.chunks())


def left_over(data: Path) -> frozenset[str]:
    """Tell what is staged."""
    staging = data / "staging"
    if not staging.exists():
        return frozenset()
    return frozenset(path.name for path in staging.iterdir())
