"""How large each image is, and how much of that it has for itself alone.

An image is a manifest with all that it needs; of an index, the images that it
names, as far as they are here. What is its own alone is what its removal frees.
Digests are plain text, as in `images.retention`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from nixeryd.images.retention import Blob, Held


@dataclass(frozen=True, slots=True)
class Measure:
    """The size of an image that is here, and what of it no other has; in bytes.

    `missing` counts the blobs that are not here. Of the images that an index names
    only those count of which anything is.
    """

    size: int
    unique: int
    missing: int


def measure(
    held: Sequence[Held], blobs: Mapping[str, Blob], images: Iterable[str]
) -> dict[str, Measure]:
    """Measure these manifests. All others that no index names count as images too."""
    by_digest = {manifest.digest: manifest for manifest in held}
    images = {digest for digest in images if digest in by_digest}
    within = {need for manifest in held for need in manifest.needs if need in by_digest}
    others = by_digest.keys() - images - within
    users = Counter(
        chain.from_iterable(_needs(one, by_digest) for one in (*images, *others))
    )
    measured = {}
    for digest in images:
        # Again, as all sets at once would be ten times as large as the rest.
        needs = _needs(digest, by_digest)
        here = [(need, blobs[need].size) for need in needs if need in blobs]
        measured[digest] = Measure(
            size=sum(size for _, size in here),
            unique=sum(size for need, size in here if users[need] == 1),
            missing=len(needs) - len(here),
        )
    return measured


def _needs(image: str, held: Mapping[str, Held]) -> frozenset[str]:
    """Give an image's manifests and blobs; of an index not the images elsewhere."""
    found = {image}
    due = [image]
    while due:
        needs = held[due.pop()].needs
        named = [need for need in needs if need in held]
        # An index names manifests only; those that never came are not missing.
        found.update(named or needs)
        due += named
    return frozenset(found)
