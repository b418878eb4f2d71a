"""Chunks: bytes gathered by the mebibyte, and hashed beside what else is done.

Hashing takes as long as reading and writing together. So there are two buffers:
while a thread hashes one, it is handed on and the other one is filled; a layer
alone has two cores. Where there are as many layers as cores, each hashes its own:
handing over would only make them wait for each other.
"""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final
from weakref import WeakSet

CHUNK: Final = 1 << 20

_CORES: Final = os.cpu_count() or 1
_hashers = ThreadPoolExecutor(_CORES, thread_name_prefix="hash")
_under_way: "WeakSet[Chunks]" = WeakSet()


class Chunks:
    """Hands chunks on to `take`, which is done with one when it returns.

    All that came is in `hashed` after `finish`. Used by one thread.
    """

    def __init__(self, take: Callable[[memoryview], None]) -> None:
        self._take = take
        self.hashed = hashlib.sha256()
        self._buffer = memoryview(bytearray(CHUNK))
        self._filled = 0
        self._other: memoryview | None = None
        self._hashing: Future[None] | None = None  # of the other
        _under_way.add(self)

    def add(self, data: bytes) -> None:
        """Add some bytes."""
        end = self._filled + len(data)
        while end > CHUNK:
            room = CHUNK - self._filled
            self._buffer[self._filled :] = data[:room]
            self._filled = CHUNK
            self._pass_on()
            data = data[room:]
            end = len(data)
        self._buffer[self._filled : end] = data
        self._filled = end

    def read(self, fd: int, size: int, checkpoint: Callable[[], object]) -> int:
        """Add so many bytes of a file; give how many of them it does not have.

        `checkpoint` is called before each chunk, and may raise to stop.
        """
        while size:
            if self._filled == CHUNK:
                checkpoint()
                self._pass_on()
            room = self._buffer[self._filled : self._filled + size]
            count = os.readv(fd, [room])
            if not count:
                break
            self._filled += count
            size -= count
        return size

    def finish(self) -> None:
        """Hand on the rest."""
        _under_way.discard(self)
        rest = self._buffer[: self._filled]
        self._wait()
        self.hashed.update(rest)
        self._take(rest)

    def _pass_on(self) -> None:
        self._wait()
        if len(_under_way) >= _CORES:
            self.hashed.update(self._buffer)
            self._take(self._buffer)
            self._filled = 0
            return
        self._hashing = _hashers.submit(self.hashed.update, self._buffer)
        self._take(self._buffer)
        # What comes next goes where the hash is done already.
        other = self._other or memoryview(bytearray(CHUNK))
        self._other, self._buffer, self._filled = self._buffer, other, 0

    def _wait(self) -> None:
        if self._hashing is not None:
            self._hashing.result()
            self._hashing = None
