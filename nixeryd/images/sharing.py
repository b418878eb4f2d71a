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
        chain.from_iterable(
            _needs(one, by_digest, within) for one in (*images, *others)
        )
    )
    measured = {}
    for digest in images:
        size = unique = missing = 0
        # Again, as all sets at once would be ten times as large as the rest.
        for need in _needs(digest, by_digest, within):
            blob = blobs.get(need)
            if blob is None:
                missing += 1
                continue
            size += blob.size
            if users[need] == 1:
                unique += blob.size
        measured[digest] = Measure(size, unique, missing)
    return measured


def _needs(image: str, held: Mapping[str, Held], within: set[str]) -> set[str]:
    """Give an image's manifests and blobs; of an index not the images elsewhere."""
    found = {image}
    due = [image]
    while due:
        needs = held[due.pop()].needs
        # An index names manifests only; those that never came are not missing.
        named = () if within.isdisjoint(needs) else within.intersection(needs)
        found.update(named or needs)
        due += named
    return found
