"""Streamed blobs: the bytes of a recipe, made while a client takes them.

The law: the first pass, which made the recipe, hashed them; a file that may have
changed since makes us hash all of it again, before a byte of that file is sent. What
has other bytes now, or none, breaks off, and is lost until it is made anew. Large
files are handed on open, for the kernel to send; small ones and headers go
together. Files are opened and read in threads.
"""

import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Final

import trio

from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.layers.recipe_format import (
    TICK,
    FilePart,
    Piece,
    UnreadableRecipe,
    is_unchanged,
)
from nixeryd.runtime.locks import KeyedLocks
from nixeryd.store.recipe import (
    OTHER_CONTENTS,
    LostContent,
    OpenRecipe,
    Recipe,
    open_part,
    read_part,
)
from nixeryd.store.recipes import Recipes

BATCH: Final = 128 * 1024  # bytes that a client holds of small files and headers
LARGE: Final = 64 * 1024  # bytes of a file from which on the kernel sends it
_ATTEMPTS: Final = 3

# Apart from trio's default limiter, which Nix runs and packing use.
_READERS = trio.CapacityLimiter(16)
_HASHERS = trio.CapacityLimiter(os.cpu_count() or 1)
_checks = KeyedLocks()


class StreamedBlob:
    """A recipe as the web layer serves it (`nixeryd.web.ports.LiveBlob`)."""

    made_from = "store"

    def __init__(self, recipes: Recipes, recipe: Recipe) -> None:
        self.recipes = recipes
        self.recipe = recipe

    @property
    def size(self) -> int:
        return self.recipe.size

    @property
    def digest(self) -> Digest:
        return self.recipe.digest

    async def require(self) -> None:
        """See that its store paths are there; else BLOB_UNKNOWN (404)."""
        try:
            with self.losing():
                missing = await trio.to_thread.run_sync(
                    self.recipe.missing, limiter=_READERS
                )
                if missing is not None:
                    raise LostContent(f"{missing} is not in the Nix store any more")
        except (NixerydError, FileNotFoundError) as error:
            raise RegistryError(
                ErrorCode.BLOB_UNKNOWN,
                f"{self.digest} cannot be made: {error}; pull its image by tag to have"
                " it made anew",
            ) from error

    @asynccontextmanager
    async def open(self, part: range) -> AsyncIterator["_Stream"]:
        """Open the bytes of `part`."""
        with ExitStack() as stack:
            try:
                opened = stack.enter_context(self.recipe.open())
            except FileNotFoundError:  # evicted a moment ago
                raise LostContent(f"{self.digest} is not here any more") from None
            stream = _Stream(self, opened, part)
            stack.callback(stream.close)
            yield stream

    async def check(self, changed: int) -> None:
        """Hash all of it anew, as a file changed at `changed`; raises `LostContent`."""
        async with _checks.hold(self.digest):
            if self.is_sealed(changed):
                return  # another has done it meanwhile
            # Whatever changes from now on, has a later ctime.
            await trio.sleep(2 * TICK / 1e9)
            sealed = time.time_ns()
            is_right = await trio.to_thread.run_sync(
                self.recipe.is_right, trio.from_thread.check_cancelled, limiter=_HASHERS
            )
            if not is_right:
                raise LostContent(OTHER_CONTENTS)
            self.recipes.seal(self.digest, sealed)

    def is_sealed(self, changed: int) -> bool:
        """Return whether a file that changed at `changed` is what was hashed."""
        return is_unchanged(changed, self.recipes.sealed(self.recipe), time.time_ns())

    def settled(self) -> int:
        """Return a ctime up to which files are what was hashed, in nanoseconds."""
        sealed = self.recipes.sealed(self.recipe)
        return sealed - 2 * TICK if sealed <= time.time_ns() else 0

    @contextmanager
    def losing(self) -> Iterator[None]:
        """Count on the recipe no longer if what it is made of is not there."""
        try:
            yield
        except (LostContent, UnreadableRecipe) as error:
            self.recipes.lose(self.digest, error)
            raise


class _Changed(Exception):  # noqa: N818  a state
    """A file's ctime, which says that it may have changed."""

    def __init__(self, ctime: int) -> None:
        super().__init__(ctime)
        self.ctime = ctime


class _Stream:
    """What `nixeryd.web.ports.BlobStream` says."""

    def __init__(self, blob: StreamedBlob, opened: OpenRecipe, part: range) -> None:
        self.fd = -1
        self._ctime = 0  # of that file
        self._settled = 0  # ctimes up to this need no closer look
        self._blob = blob
        self._pieces = opened.pieces(part)
        self._held: Piece | None = None  # seen, and not handed on yet

    async def arrive(self) -> range | bytes:
        """Return the next bytes, or the place in `fd` where they are; empty at the end.

        Raises `LostContent`.
        """
        with self._blob.losing():
            for _ in range(_ATTEMPTS):
                try:
                    return await trio.to_thread.run_sync(self._gather, limiter=_READERS)
                except _Changed as changed:
                    await self._blob.check(changed.ctime)
                except OSError as error:  # no file descriptors: that may pass
                    message = f"{self._blob.digest} cannot be read now: {error}"
                    raise NixerydError(message) from error
            raise LostContent("its store paths change while they are read")

    def close(self) -> None:
        """Close what is open."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def _gather(self) -> range | bytes:
        """Take small pieces together, up to the next large one."""
        if self.fd >= 0:
            ctime = os.fstat(self.fd).st_ctime_ns
            self.close()
            if ctime != self._ctime:  # while it was sent
                raise _Changed(ctime)
        self._settled = self._blob.settled()
        gathered = bytearray()
        while len(gathered) < BATCH:
            piece = self._held or next(self._pieces, None)
            self._held = None
            if piece is None:
                break
            if isinstance(piece, bytes):
                gathered += piece
            elif gathered and len(piece.part) >= LARGE:
                self._held = piece
                break
            else:
                try:
                    found = self._read(piece)
                except _Changed:
                    self._held = piece
                    if gathered:
                        break
                    raise
                if isinstance(found, range):
                    return found
                gathered += found
        return bytes(gathered)

    def _read(self, piece: FilePart) -> range | bytes:
        fd, changed = open_part(piece)
        try:
            if changed > self._settled and not self._blob.is_sealed(changed):
                raise _Changed(changed)
            if len(piece.part) < LARGE:
                return read_part(fd, piece.part, piece.path)
            self.fd, self._ctime, fd = fd, changed, -1
            return piece.part
        finally:
            if fd >= 0:
                os.close(fd)
