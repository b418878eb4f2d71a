"""Planning: what an eviction is planned from, and what comes of it."""

from collections.abc import Mapping, Set as AbstractSet
from dataclasses import dataclass

from nixeryd.store.names import Name
from nixeryd.store.retention import Blob, Eviction
from nixeryd.store.snapshot import CacheSnapshot


@dataclass(frozen=True, slots=True)
class Evicted:
    """What went, or would: `freed` and `left` in bytes, and the names that ended."""

    freed: int
    left: int
    manifests: int
    blobs: int
    names: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Cache:
    """What is here while a plan is made, and what is leased."""

    holdings: CacheSnapshot
    blobs: Mapping[int, Blob]
    busy: AbstractSet[int]


def foresee(plan: Eviction, cache: Cache) -> Evicted:
    """Say what a plan would do."""
    number = cache.holdings.numbering.number
    gone = {step.manifest for step in plan.steps}
    return Evicted(
        plan.freed,
        plan.left,
        sum(step.manifest is not None for step in plan.steps),
        sum(blob in cache.blobs for step in plan.steps for blob in step.blobs),
        tuple(
            name for name in cache.holdings.names if number(str(name.manifest)) in gone
        ),
    )
