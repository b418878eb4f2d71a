"""Scrubbing: read one blob after another, slowly, before a client finds the rot.

A pass reads all that are here, in the order of their digests, and begins a week after
the last one ended: what came meanwhile was hashed when it came. In between nothing
wakes us but once a day, for a clock that was set or a machine that slept. How far a
pass is, is noted in a file now and then and at the end; a lost note costs reading
again.

Nobody is bothered: a pass is slow, rests while something is built or fetched, and
holds one open file, no lock and no lease; what is evicted meanwhile is no error. Pages
in memory are left to those who put them there (`store.pages`): dropping what was read
would take it from warm serving, and what is served from memory is checked there.

Only a blob that was read twice and has another digest is let go, as by a repair, so
that the next pull makes or fetches it anew. What cannot be read is told, and stays.

A streamed layer is not read here. Its bytes are the Nix store's, which Nix verifies;
and letting it go would not mend it: the next pull would take the rotten file as right.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import msgspec
import structlog
import trio

from nixeryd.cache.damage import examine, name_images
from nixeryd.images.digests import Digest
from nixeryd.images.errors import NixerydError
from nixeryd.store.blobs import Blobs
from nixeryd.store.snapshot import read_holdings

RATE: Final = 8e6  # bytes per second: 20 GB take three quarters of an hour
_SLICE: Final = 8 << 20  # bytes that are read in one go
_OPENING: Final = 64 << 10  # bytes that could be read while a file is opened
_EVERY: Final = 7 * 86400.0  # seconds from one pass to the next
_LOOK: Final = 86400.0  # seconds between two looks at the clock
_BUSY: Final = 1.0  # seconds until another look whether it is quiet
_RETRY: Final = 3600.0  # seconds after the disk did not let us
_NOTE: Final = 60.0  # seconds, or a part's, of reading that a crash may cost

log = structlog.get_logger()


class _Note(msgspec.Struct, frozen=True):
    """When the last pass ended, since the epoch, and the last blob of this one."""

    checked: float = 0.0
    after: Annotated[str, msgspec.Meta(pattern="^(sha256:[0-9a-f]{64})?$")] = ""


class Scrubber:
    """Checks the blobs in the background; `rate` is in bytes per second."""

    def __init__(  # noqa: PLR0913  the composition root wires it once
        self,
        blobs: Blobs,
        index_path: Path,
        note_path: Path,
        discard: Callable[[Sequence[str]], Awaitable[None]],
        *,
        is_busy: Callable[[], bool] = lambda: False,
        rate: float = RATE,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._blobs = blobs
        self._index_path = index_path
        self._note_path = note_path
        self._discard = discard
        self._is_busy = is_busy
        self._rate = rate
        self._now = now
        self._limiter = trio.CapacityLimiter(1)  # it rests in its thread
        self._read = 0  # bytes since the last rest
        self._note = self._find_note()

    @property
    def checked(self) -> float | None:
        """When a pass last ended, in seconds since the epoch."""
        return self._note.checked or None

    async def run(self) -> None:
        """Pass through all blobs whenever it is time to."""
        while True:
            if (wait := self._wait()) > 0:
                await trio.sleep(min(wait, _LOOK))
                continue
            try:
                await self.read_all()
            except (NixerydError, OSError) as error:
                log.warning("blobs cannot be checked now", error=str(error))
                await trio.sleep(_RETRY)

    def _wait(self) -> float:
        """Return the seconds until the next pass; a clock set back proves nothing."""
        since = self._now() - self._note.checked
        return 0 if self._note.after or since < 0 else _EVERY - since

    async def read_all(self) -> None:
        """Make a pass, or go on with one; raises `NixerydError`, `OSError`."""
        await self._rest()
        noted = trio.current_time()
        try:
            # A part at a time: a list of all would be kept for an hour.
            for part in range(int(self._note.after[7:9] or "0", 16), 256):
                await self._read_part(f"{part:02x}")
                if trio.current_time() - noted > _NOTE:
                    self._keep_note()
                    noted = trio.current_time()
            self._note = _Note(self._now())
        finally:
            self._keep_note()

    async def _read_part(self, part: str) -> None:
        listing = await trio.to_thread.run_sync(self._blobs.listing, part)
        for text in sorted(listing):
            if text > self._note.after:
                await self._look(Digest.parse(text))
                self._note = _Note(self._note.checked, text)

    async def _look(self, digest: Digest) -> None:
        if not self._blobs.has_file(digest):
            return
        self._read += _OPENING
        found = await examine(self._blobs, digest, self._step, limiter=self._limiter)
        if found is None:
            return
        blob = str(digest)
        if not found.is_proven:
            log.warning("a blob cannot be checked, and stays", blob=blob, why=found.why)
            return
        holdings = await trio.to_thread.run_sync(read_holdings, self._index_path)
        images = name_images(holdings, [blob])[blob]
        await self._discard([blob])
        log.warning(
            "a blob was damaged and is removed; there is nothing to do, the next pull"
            " by a tag brings it back",
            blob=blob,
            images=list(images),
        )

    def _step(self, size: int) -> None:
        """Rest when enough was read. Runs in the thread that reads."""
        self._read += size
        if self._read < _SLICE:
            trio.from_thread.check_cancelled()
        else:
            trio.from_thread.run(self._rest)

    async def _rest(self) -> None:
        self._read = 0
        await trio.sleep(_SLICE / self._rate)
        while self._is_busy():  # noqa: ASYNC110  nobody tells when it is not
            await trio.sleep(_BUSY)

    def _find_note(self) -> _Note:
        try:
            return msgspec.json.decode(self._note_path.read_bytes(), type=_Note)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return _Note()

    def _keep_note(self) -> None:
        part = self._note_path.with_name(self._note_path.name + ".part")
        try:
            part.write_bytes(msgspec.json.encode(self._note))
            part.replace(self._note_path)
        except OSError as error:
            log.warning("what was checked cannot be noted", error=str(error))
            with suppress(OSError):
                part.unlink(missing_ok=True)
