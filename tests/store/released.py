"""Data directories as released versions left them.

`released/COMMIT.sql` is the dump of an index, and `released/COMMIT.json` the blobs that
lay beside it, all of them text. They were made by the code of that commit.
"""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from nixeryd.images.digests import Digest

_PLACE = Path(__file__).with_name("released")
FIRST = "7ec3a5e"


def make_data_dir(root: Path, commit: str = FIRST) -> None:
    """Make the data directory that a version left."""
    root.mkdir(mode=0o700)
    for body in json.loads((_PLACE / f"{commit}.json").read_text()):
        name = Digest.of(body.encode()).hex
        shard = root / "blobs" / "sha256" / name[:2]
        shard.mkdir(parents=True, exist_ok=True)
        (shard / name).write_text(body)
    make_index(root / "index.sqlite", commit)


def make_index(path: Path, commit: str = FIRST) -> None:
    """Make its index."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript((_PLACE / f"{commit}.sql").read_text())
