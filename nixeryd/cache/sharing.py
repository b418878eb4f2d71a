"""How large each image is, and how much of that it has for itself alone.

An image is a manifest with all that it needs; of an index, the images that it
names, as far as they are here. What is its own alone is what its removal frees.
Digests are numbers, as in `images.retention`.
"""

from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from nixeryd.images.numbering import count_uses
from nixeryd.store.retention import Blob, ManifestUse


@dataclass(frozen=True, slots=True)
class Measure:
    """The size of an image that is here, and what of it no other has; in bytes.

    `missing` counts the blobs that are not here. Of the images that an index names
    only those count of which anything is.
    """

    size: int
    unique: int
    missing: int


@dataclass(frozen=True, slots=True)
class Measures:
    """What was measured; and of what none of them has, how many manifests and bytes."""

    images: Mapping[int, Measure]
    other_manifests: int
    other_size: int


def measure(
    held: Sequence[ManifestUse], blobs: Mapping[int, Blob], images: Collection[int]
) -> Measures:
    """Measure these manifests. All others that no index names count as images too."""
    by_number = {manifest.number: manifest for manifest in held}
    images = by_number.keys() & images
    within = {
        need
        for manifest in held
        if not by_number.keys().isdisjoint(manifest.needs)
        for need in by_number.keys() & manifest.needs
    }
    others = by_number.keys() - images - within
    needs = {one: _needs(one, by_number, within) for one in (*images, *others)}
    users = count_uses(list(needs.values()), blobs.keys())
    sizes: list[int | None] = [None] * len(users)
    for number, blob in blobs.items():
        sizes[number] = blob.size
    theirs = bytearray(len(users))
    measured = {}
    for image in images:
        size = unique = missing = 0
        for need in needs[image]:
            theirs[need] = True
            found = sizes[need]
            if found is None:
                missing += 1
                continue
            size += found
            if users[need] == 1:
                unique += found
        measured[image] = Measure(size, unique, missing)
    return Measures(
        measured,
        sum(not theirs[number] for number in by_number),
        sum(blob.size for number, blob in blobs.items() if not theirs[number]),
    )


def _needs(
    image: int, held: Mapping[int, ManifestUse], within: set[int]
) -> "array[int]":
    """Return an image's manifests and blobs; of an index not the images elsewhere."""
    found = {image}
    due = [image]
    while due:
        needs = held[due.pop()].needs
        # An index names manifests only; those that never came are not missing.
        named = () if within.isdisjoint(needs) else within.intersection(needs)
        found.update(named or needs)
        due += named
    return array("I", found)  # a tenth of the set's memory
