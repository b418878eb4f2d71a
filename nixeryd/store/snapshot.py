"""Holdings: all that the index says is here, read in one go.

On a connection of its own, so that a thread can do it while the daemon goes on:
a large cache takes a second. It is the state at one moment; what happened since
is for the caller to check.
"""

from array import array
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from nixeryd.images.numbering import Numbering, count_uses
from nixeryd.store.blobs import Blobs
from nixeryd.store.connection import connect, explained
from nixeryd.store.names import VIEWS, Name, Names
from nixeryd.store.numbers import Numbers
from nixeryd.store.recipes import look
from nixeryd.store.retention import Blob, ManifestUse

_NEEDS: Final = msgspec.json.Decoder(list[int])


@dataclass(frozen=True, slots=True)
class CacheSnapshot:
    """The manifests that are here, and the names that lead to them.

    Those that are `mirrored` can be had again, and so what they need. Digests are
    numbers, as `numbering` has them. `sizes` are those of the blobs that are needed,
    by number, as far as they are known, in bytes.
    """

    numbering: Numbering
    held: tuple[ManifestUse, ...]
    names: tuple[Name, ...]
    mirrored: frozenset[int]
    sizes: Sequence[int | None]

    @property
    def named(self) -> set[int]:
        """The manifests that a name leads to."""
        return {self.numbering.number(str(name.manifest)) for name in self.names}

    def listing(self, blobs: Blobs) -> dict[int, Blob]:
        """List all blobs by number; a large cache takes half a second.

        Files of needed blobs whose sizes are known are not looked at, which would take
        longest of all; they count as written long ago.
        """
        number, sizes = self.numbering.number, self.sizes
        found = {}
        for digest, entry in blobs.scan():
            one = number(digest)
            size = sizes[one] if one < len(sizes) else None
            blob = look(entry) if size is None else Blob(size, 0.0)
            if blob is not None:
                found[one] = blob
        return found


def read_holdings(path: Path) -> CacheSnapshot:
    """Read the index in `path`, which must be open elsewhere."""
    with closing(connect(path)) as connection:
        with explained(path):
            connection.executescript(VIEWS)
        with connection:
            connection.execute("BEGIN")  # one state for all
            numbering, sizes = Numbers(connection).all()
            number = numbering.number
            names = Names(connection).all()
            pinned = {str(name.manifest) for name in names if name.pinned}
            rows = connection.execute(
                "SELECT digest, needs, used FROM manifests"
                " LEFT JOIN uses ON uses.manifest = manifests.digest"
            )
            held = [
                ManifestUse(
                    number(digest), _needs(needs), used or 0.0, digest in pinned
                )
                for digest, needs, used in rows
            ]
            rows = connection.execute("SELECT DISTINCT digest FROM mirrored_manifests")
            mirrored = frozenset(number(digest) for (digest,) in rows)
    users = count_uses([one.needs for one in held], range(len(sizes)))
    sizes = [size if count else None for size, count in zip(sizes, users, strict=False)]
    return CacheSnapshot(numbering, tuple(held), tuple(names), mirrored, sizes)


def _needs(numbers: str) -> "array[int]":
    # A tenth of a list's memory.
    return array("I", _NEEDS.decode(numbers))
