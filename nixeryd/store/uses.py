"""When each manifest was last used: noted in memory, written now and then.

No request waits for a write. What a crash loses is some seconds of notes, and
all that depends on them is the order of eviction. What is used was often just
made: so this is also when the index is made safe from a power cut.
"""

import time
from collections.abc import Callable
from typing import Final

import structlog
import trio

from nixeryd.images.digests import Digest
from nixeryd.images.errors import NixerydError
from nixeryd.store.index import Index
from nixeryd.store.leases import Leases

# Seconds between two writes while there is something to write.
INTERVAL: Final = 10.0

log = structlog.get_logger()


class Uses:
    """Notes what clients ask for."""

    def __init__(
        self, index: Index, leases: Leases, now: Callable[[], float] = time.time
    ) -> None:
        self._index = index
        self._leases = leases
        self._now = now
        self._unwritten: dict[Digest, float] = {}
        self._noted = trio.Event()

    def manifest(self, digest: Digest) -> None:
        """Note that a manifest was asked for."""
        self._leases.renew(digest)
        self._unwritten[digest] = self._now()
        self._noted.set()

    def blob(self, digest: Digest) -> None:
        """Note that a blob was asked for."""
        self._leases.renew(digest)

    def flush(self) -> None:
        """Write what is noted; if the disk does not take it, it is lost."""
        unwritten, self._unwritten = self._unwritten, {}
        self._noted = trio.Event()
        try:
            self._index.set_used(unwritten, self._now())
        except NixerydError as error:  # only the order of eviction suffers
            log.warning("uses cannot be written", error=str(error))

    def _sync(self) -> None:
        try:
            self._index.sync()
        except OSError as error:  # a power cut would cost what came last
            log.warning("the index is not safe yet", error=str(error))

    async def run(self) -> None:
        """Write now and then, and when cancelled; asleep while nothing is noted."""
        try:
            while True:
                await self._noted.wait()
                await trio.sleep(INTERVAL)
                self.flush()
                await trio.to_thread.run_sync(self._sync)
        finally:
            self.flush()
