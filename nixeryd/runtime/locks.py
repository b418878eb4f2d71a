"""Keyed locks: one `trio.Lock` per key, there only while somebody wants it.

Two clients that ask for one image want the same layers. Whoever holds a layer
key's lock does the whole sequence (cache check, pack, store, index) inside it,
so that the other finds it done; the ancestor raced here on `staging/<hash>`.
"""

from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

import trio


class KeyedLocks:
    """A lock per key; `len()` counts the keys held or waited for."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, tuple[trio.Lock, int]] = {}

    def __len__(self) -> int:
        return len(self._locks)

    def __contains__(self, key: Hashable) -> bool:
        """Return whether anybody holds this key's lock, or waits for it."""
        return key in self._locks

    @asynccontextmanager
    async def hold(self, key: Hashable) -> AsyncIterator[None]:
        """Hold this key's lock."""
        lock, users = self._locks.get(key) or (trio.Lock(), 0)
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            _, users = self._locks[key]
            if users == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, users - 1)
