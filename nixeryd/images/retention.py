"""What to evict when the cache is over its cap: a plan, and nothing is touched.

The law: least recently used manifests go first; a blob goes only when no
manifest that stays needs it; what is pinned or busy stays. Blobs that no
manifest needs go before any image. A blob that several share counts once.

The plan is a sequence of steps. After any of them whatever is left is whole, so
it may be carried out in parts and broken off anywhere.

Digests are plain text here: a large cache has a million references, and hashing
a `Digest` as often takes seconds.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Held:
    """A manifest that is here, and what it needs to be of use.

    `needs` are its blobs; of an index, the manifests that it names. They may be
    missing, as those of a mirrored image come when they are asked for. `used` is
    in seconds since the epoch.
    """

    digest: str
    needs: tuple[str, ...]
    used: float
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob that is here: its size in bytes and when it was written."""

    size: int
    written: float


@dataclass(frozen=True, slots=True)
class Step:
    """A manifest to forget (None: of none), and the blobs that go with it."""

    manifest: str | None
    blobs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Eviction:
    """What to do, in this order; `freed` and `left` are bytes of blobs."""

    steps: tuple[Step, ...]
    freed: int
    left: int


def plan_eviction(  # noqa: PLR0913  all that it weighs
    held: Sequence[Held],
    blobs: Mapping[str, Blob],
    *,
    cap: int,
    busy: AbstractSet[str] = frozenset(),
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
    freed = sum(blobs[digest].size for step in steps for digest in step.blobs)
    return Eviction(tuple(steps), freed, pool.total)


def plan_removal(
    held: Sequence[Held],
    blobs: Mapping[str, Blob],
    *,
    remove: Sequence[str],
    named: AbstractSet[str],
    busy: AbstractSet[str] = frozenset(),
) -> Eviction:
    """Say what goes with these manifests, pinned or not.

    What only they name goes too, unless it is `named` otherwise. A manifest that an
    index names stays, as that needs it; and `busy` blobs stay.
    """
    pool = _Pool(held, blobs, busy)
    steps = [pool.forget(one) for one in pool.below(remove, named)]
    freed = sum(blobs[digest].size for step in steps for digest in step.blobs)
    return Eviction(tuple(steps), freed, pool.total)


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
        held: Sequence[Held],
        blobs: Mapping[str, Blob],
        busy: AbstractSet[str],
    ) -> None:
        self._held = {manifest.digest: manifest for manifest in held}
        self._blobs = blobs
        self.total = sum(blob.size for blob in blobs.values())
        # How many need each blob. A manifest needs its own; who is busy with a
        # blob needs it too.
        self._users = Counter(busy)
        for manifest in self._held.values():
            self._users.update({manifest.digest, *manifest.needs})
        self._named = {
            one.digest: found
            for one in self._held.values()
            if (found := self._held.keys() & one.needs)
        }
        exempt = [m.digest for m in held if m.pinned or m.digest in busy]
        self._exempt = frozenset(self._reach(exempt))

    def loose(self, before: float, after: float) -> Iterator[str]:
        """Give what no manifest needs, oldest first."""
        found = [
            (blob.written, digest)
            for digest, blob in self._blobs.items()
            if not before <= blob.written <= after and not self._users[digest]
        ]
        return iter([digest for _, digest in sorted(found)])

    def take(self, digest: str) -> Step:
        self.total -= self._blobs[digest].size
        return Step(None, (digest,))

    def in_order(self) -> Iterator[Held]:
        """Give what may be forgotten, least recently used first.

        What an index needs is used whenever the index is, and goes after it.
        """
        waiting: set[str] = set()
        used = self._last_uses()
        for digest in sorted(used, key=lambda one: (used[one], one)):
            if digest not in self._exempt:
                waiting.add(digest)
                yield from self._unneeded([digest], waiting)

    def below(self, start: Sequence[str], spared: AbstractSet[str]) -> Iterator[Held]:
        """Give these manifests and what they name, as far as nobody else does."""
        known = [one for one in dict.fromkeys(start) if one in self._held]
        yield from self._unneeded(known, self._reach(known) - (spared - set(start)))

    def _unneeded(self, start: Sequence[str], waiting: set[str]) -> Iterator[Held]:
        """Give of `start`, and then of all that is `waiting`, what nobody needs."""
        due = [one for one in start if one in waiting and self._users[one] == 1]
        while due:
            manifest = self._held[due.pop()]
            waiting.discard(manifest.digest)
            yield manifest
            freed = waiting.intersection(manifest.needs)
            due += sorted(one for one in freed if self._users[one] == 1)

    def forget(self, manifest: Held) -> Step:
        users, blobs = self._users, self._blobs
        gone = []
        for digest in dict.fromkeys((manifest.digest, *manifest.needs)):
            users[digest] = left = users[digest] - 1
            if not left and digest in blobs:
                gone.append(digest)
                self.total -= blobs[digest].size
        return Step(manifest.digest, tuple(gone))

    def _last_uses(self) -> dict[str, float]:
        used = {manifest.digest: manifest.used for manifest in self._held.values()}
        for index in self._named:
            for digest in self._reach([index]):
                used[digest] = max(used[digest], self._held[index].used)
        return used

    def _reach(self, start: Sequence[str]) -> set[str]:
        """Give these manifests and all that they name, as far as they are here."""
        found = set(start)
        due = list(start)
        while due:
            named = self._named.get(due.pop(), set())
            due += named - found
            found |= named
        return found
