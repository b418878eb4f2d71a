"""Leases: what eviction must leave alone for now, though it may be its turn.

Who reads a blob needs none: an open file outlives its name. But a pull is many
requests, and a build counts on layers that it found before a manifest names
them. So a build holds a lease until its manifest is written, and what a client
asked for is leased for a while. Leases are in memory: no build and no connection
outlives the daemon.

Whoever plans what goes `watch`es from before the first look at what is here: a build
may have found a layer, or find one, write its manifest and end its lease before the
plan is carried out, and the plan knows nothing of that manifest.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from nixeryd.images.digests import Digest

# Seconds. A client asks for the next blob of an image far sooner.
PULL: Final = 30 * 60.0


class Lease:
    """What one build counts on; may be added to from any thread."""

    def __init__(self, watchers: Sequence[set[Digest]]) -> None:
        self.digests: set[Digest] = set()
        self._watchers = watchers

    def add(self, digest: Digest) -> None:
        """Count on this from now on."""
        self.digests.add(digest)
        for seen in self._watchers:
            seen.add(digest)


class Leases:
    """All leases of a daemon; `clock` gives seconds that never jump."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: set[Lease] = set()
        self._until: dict[Digest, float] = {}
        self._watchers: list[set[Digest]] = []

    @contextmanager
    def open(self) -> Iterator[Lease]:
        """Return a lease that ends with the block."""
        lease = Lease(self._watchers)
        self._open.add(lease)
        try:
            yield lease
        finally:
            self._open.discard(lease)

    @contextmanager
    def watch(self) -> Iterator[Collection[Digest]]:
        """Return what builds count on during the block, even if it ends earlier."""
        seen = self.of_builds()
        self._watchers.append(seen)
        try:
            yield seen
        finally:
            # In place, as leases hold the list; by identity, as sets may be equal.
            self._watchers[:] = [one for one in self._watchers if one is not seen]

    def pin(self, digest: Digest) -> None:
        """Tell who plans that this stays: their plan does not know it yet."""
        for seen in self._watchers:
            seen.add(digest)

    def renew(self, digest: Digest) -> None:
        """Lease a manifest or a blob to whoever asked for it just now."""
        # The latest last, so that what has ended is found at the front.
        self._until.pop(digest, None)
        self._until[digest] = self._clock() + PULL
        self._forget_ended()

    def current(self) -> set[Digest]:
        """Return all that is leased now."""
        self._forget_ended()
        return self.of_builds().union(self._until)

    def of_builds(self) -> set[Digest]:
        """Return what builds count on now: what they lose, their images lose."""
        held: set[Digest] = set()
        for lease in self._open:
            held.update(tuple(lease.digests))  # threads add to it
        return held

    def _forget_ended(self) -> None:
        now = self._clock()
        while self._until:
            digest, until = next(iter(self._until.items()))
            if until > now:
                return
            del self._until[digest]
