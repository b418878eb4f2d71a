"""What to evict when the cache is over its cap: a plan, and nothing is touched.

The law: least recently used manifests go first; a blob goes only when no
manifest that stays needs it; what is pinned or busy stays. Blobs that no
manifest needs go before any image. A blob that several share counts once.

The plan is a sequence of steps. After any of them whatever is left is whole, so
it may be carried out in parts and broken off anywhere.

Manifests and blobs are numbers here (`images.numbering`): a large cache has a million
references.
"""

import math
from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet
from dataclasses import dataclass

import msgspec

from nixeryd.images.numbering import count_uses


@dataclass(frozen=True, slots=True)
class ManifestUse:
    """A manifest that is here, and what it needs to be of use.

    `needs` are its blobs, each once; of an index, the manifests that it names. They
    may be missing, as those of a mirrored image come when they are asked for. `used`
    is in seconds since the epoch.
    """

    number: int
    needs: Sequence[int]
    used: float
    pinned: bool = False


class Blob(msgspec.Struct, frozen=True, gc=False):
    """A blob that is here: its size in bytes and when it was written."""

    size: int
    written: float


@dataclass(frozen=True, slots=True)
class Step:
    """A manifest to forget (None: of none), and the blobs that nobody needs then.

    Not all of them may be here.
    """

    manifest: int | None
    blobs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Eviction:
    """What to do, in this order; `freed` and `left` are bytes of blobs."""

    steps: tuple[Step, ...]
    freed: int
    left: int


def plan_eviction(  # noqa: PLR0913  all that it weighs
    held: Sequence[ManifestUse],
    blobs: Mapping[int, Blob],
    *,
    cap: int,
    busy: AbstractSet[int] = frozenset(),
    loose_before: float = math.inf,
    loose_after: float = math.inf,
) -> Eviction:
    """Say what has to go so that the blobs take at most `cap` bytes.

    `busy` are the manifests and blobs that somebody counts on right now. A blob
    that no manifest needs may belong to one that is being made: it goes only if it
    was written earlier than `loose_before`, or later than `loose_after`: then the clock
    was set back since, and nothing tells how old it is.
    """
    pool = _Pool(held, blobs, busy)
    steps = []
    for step in pool.loose(loose_before, loose_after):
        if pool.total <= cap:
            break
        steps.append(pool.take(step))
    for manifest in pool.in_order():
        if pool.total <= cap:
            break
        steps.append(pool.forget(manifest))
    return Eviction(tuple(steps), pool.freed, pool.total)


def plan_removal(
    held: Sequence[ManifestUse],
    blobs: Mapping[int, Blob],
    *,
    remove: Sequence[int],
    named: AbstractSet[int],
    busy: AbstractSet[int] = frozenset(),
) -> Eviction:
    """Say what goes with these manifests, pinned or not.

    What only they name goes too, unless it is `named` otherwise. A manifest that an
    index names stays, as that needs it; and `busy` blobs stay.
    """
    pool = _Pool(held, blobs, busy)
    steps = [pool.forget(one) for one in pool.below(remove, named)]
    return Eviction(tuple(steps), pool.freed, pool.total)


def batches(steps: Sequence[Step], most: int) -> Iterator[list[Step]]:
    """Cut a plan into parts of about so many manifests and blobs, steps whole."""
    batch: list[Step] = []
    size = 0
    for step in steps:
        batch.append(step)
        size += len(step.blobs) + 1
        if size >= most:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Pool:
    """What is left while the plan is made."""

    def __init__(
        self,
        held: Sequence[ManifestUse],
        blobs: Mapping[int, Blob],
        busy: AbstractSet[int],
    ) -> None:
        self._held = {manifest.number: manifest for manifest in held}
        self._blobs = blobs
        self.total = sum(blob.size for blob in blobs.values())
        self.freed = 0
        # How many need each blob. A manifest needs its own; who is busy with a
        # blob needs it too.
        self._users = count_uses(
            [self._held.keys(), busy, *(one.needs for one in held)], blobs.keys()
        )
        self._named = {
            one.number: self._held.keys() & one.needs
            for one in held
            if not self._held.keys().isdisjoint(one.needs)
        }
        exempt = [m.number for m in held if m.pinned or m.number in busy]
        self._exempt = frozenset(self._reach(exempt))

    def loose(self, before: float, after: float) -> Iterator[int]:
        """Return what no manifest needs, oldest first."""
        users = self._users
        found = [
            (blob.written, number)
            for number, blob in self._blobs.items()
            if not users[number] and not before <= blob.written <= after
        ]
        return iter([number for _, number in sorted(found)])

    def take(self, number: int) -> Step:
        self._free(number)
        return Step(None, (number,))

    def in_order(self) -> Iterator[ManifestUse]:
        """Return what may be forgotten, least recently used first.

        What an index needs is used whenever the index is, and goes after it.
        """
        waiting: set[int] = set()
        used = self._last_uses()
        for number in sorted(used, key=lambda one: (used[one], one)):
            if number not in self._exempt:
                waiting.add(number)
                yield from self._unneeded([number], waiting)

    def below(
        self, start: Sequence[int], spared: AbstractSet[int]
    ) -> Iterator[ManifestUse]:
        """Return these manifests and what they name, as far as nobody else does."""
        known = [one for one in dict.fromkeys(start) if one in self._held]
        yield from self._unneeded(known, self._reach(known) - (spared - set(start)))

    def _unneeded(
        self, start: Sequence[int], waiting: set[int]
    ) -> Iterator[ManifestUse]:
        """Return of `start`, and then of all that is `waiting`, what nobody needs."""
        due = [one for one in start if one in waiting and self._users[one] == 1]
        while due:
            number = due.pop()
            waiting.discard(number)
            yield self._held[number]
            freed = waiting.intersection(self._named.get(number, ()))
            due += sorted(one for one in freed if self._users[one] == 1)

    def forget(self, manifest: ManifestUse) -> Step:
        users = self._users
        gone = []
        for number in (manifest.number, *manifest.needs):
            users[number] = left = users[number] - 1
            if not left:
                gone.append(number)
                self._free(number)
        return Step(manifest.number, tuple(gone))

    def _free(self, number: int) -> None:
        if (blob := self._blobs.get(number)) is not None:
            self.total -= blob.size
            self.freed += blob.size

    def _last_uses(self) -> dict[int, float]:
        used = {manifest.number: manifest.used for manifest in self._held.values()}
        for index in self._named:
            for number in self._reach([index]):
                used[number] = max(used[number], self._held[index].used)
        return used

    def _reach(self, start: Sequence[int]) -> set[int]:
        """Return these manifests and all that they name, as far as they are here."""
        found = set(start)
        due = list(start)
        while due:
            named = self._named.get(due.pop(), set())
            due += named - found
            found |= named
        return found
