"""Holdings: all that the index says is here, read in one go.

On a connection of its own, so that a thread can do it while the daemon goes on:
a large cache takes a second. It is the state at one moment; what happened since
is for the caller to check.
"""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from typing import Final

import msgspec

from nixeryd.images.retention import Held
from nixeryd.store.connection import connect, explained
from nixeryd.store.names import SCHEMA, Name, Names

_DIGESTS: Final = msgspec.json.Decoder(list[str])


@dataclass(frozen=True, slots=True)
class Holdings:
    """The manifests that are here, and the names that lead to them.

    Those that are `mirrored` can be had again, and so what they need.
    """

    held: tuple[Held, ...]
    names: tuple[Name, ...]
    mirrored: frozenset[str]


def read_holdings(path: Path) -> Holdings:
    """Read the index in `path`, which must be open elsewhere."""
    with closing(connect(path)) as connection:
        with explained(path):
            connection.executescript(SCHEMA)
        with connection:
            connection.execute("BEGIN")  # one state for both
            names = Names(connection).all()
            pinned = {str(name.manifest) for name in names if name.pinned}
            rows = connection.execute(
                "SELECT digest, blobs, used FROM manifests"
                " LEFT JOIN uses ON uses.manifest = manifests.digest"
            )
            held = [
                Held(intern(digest), _needs(blobs), used or 0.0, digest in pinned)
                for digest, blobs, used in rows
            ]
            rows = connection.execute("SELECT DISTINCT digest FROM mirrored_manifests")
            mirrored = frozenset(digest for (digest,) in rows)
    return Holdings(tuple(held), tuple(names), mirrored)


def _needs(blobs: str) -> tuple[str, ...]:
    # The same layers are in many images: one text of each, which is hashed once.
    return tuple(map(intern, _DIGESTS.decode(blobs)))
