"""A blob on its way: what has arrived of it, and those who read along.

Law: readers read the staging file and never slow the download down. The last byte is
held back until the digest of the whole is right, so that whoever has it all has the
right bytes; a download that fails breaks off every reader, and no client takes what
it got for whole. If another registry has proven the same digest meanwhile, a download
that has brought the same bytes so far ends with that registry's file. Knows nothing of
where the bytes come from.
"""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import trio

from nixeryd.images.digests import Digest
from nixeryd.images.errors import NixerydError
from nixeryd.store.mirrored import UpstreamRepository


class Download:
    """One blob, from the first byte to its place in the store.

    `size` is None until the upstream has told it; `arrived` counts the bytes in the
    staging file. `on_news` is called when anything changes. `error` is set when it
    failed, `path` when it is in the store.
    """

    def __init__(
        self,
        place: UpstreamRepository,
        digest: Digest,
        on_news: Callable[[], None] = lambda: None,
    ) -> None:
        self.place = place
        self.digest = digest
        self.since = trio.current_time()
        self.size: int | None = None
        self.arrived = 0
        self.verified = False
        self.path: Path | None = None
        self.error: NixerydError | None = None
        self.scope = trio.CancelScope()
        # Cancelled when the blob has come from elsewhere; see `take`.
        self.receiving = trio.CancelScope()
        self._fd = -1
        self._reading: set[int] = set()
        self._on_news = on_news
        self._news = trio.Event()

    def __repr__(self) -> str:
        return f"<Download {self.digest} {self.arrived}/{self.size}>"

    @property
    def has_ended(self) -> bool:
        """Whether it is in the store, or failed."""
        return self.path is not None or self.error is not None

    @property
    def readers(self) -> int:
        """How many read along."""
        return len(self._reading)

    # -- for whoever fetches

    def begin(self, fd: int) -> None:
        """Let readers read this file, until the download ends."""
        self._fd = fd

    def note(self, *, size: int | None = None, arrived: int = 0) -> None:
        """Tell that more is known, or more is in the file."""
        self.size = self.size if size is None else size
        self.arrived += arrived
        self._tell()

    def verify(self) -> None:
        """Tell that the bytes are all there and right; the last one may go out."""
        self.size = self.arrived
        self.verified = True
        self._tell()

    def succeed(self, path: Path) -> None:
        """Tell that the blob is in the store."""
        self._fd = -1
        self.path = path
        self._tell()

    def take(self, path: Path) -> None:
        """End with a proven file that begins with what has arrived here.

        Readers go on with it where they are.
        """
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for reader in self._reading:
                os.dup2(fd, reader, inheritable=False)
            self.arrived = os.fstat(fd).st_size
        finally:
            os.close(fd)
        self.verify()
        self.succeed(path)

    def fail(self, error: NixerydError) -> None:
        """Tell that nothing will come of it."""
        self._fd = -1
        self.error = error
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()
        self._on_news()

    # -- for those who read along

    async def wait_for_news(self) -> None:
        """Wait until anything changes; with what is known now, decide first."""
        await self._news.wait()

    async def wait_until_sized(self, small: int) -> int:
        """Wait for its size; if that is at most `small`, until the bytes are right.

        Raises what the download failed with.
        """
        while self.size is None or (self.size <= small and not self.verified):
            self._raise()
            await self._news.wait()
        return self.size

    async def wait_until_ended(self) -> None:
        """Wait until it is in the store; raises what it failed with."""
        while not self.has_ended:
            await self._news.wait()
        self._raise()

    async def wait_for(self, offset: int) -> int:
        """Wait until there are bytes from `offset` on; give the end of what there is.

        Raises what the download failed with.
        """
        while (end := self._readable()) <= offset:
            self._raise()
            await self._news.wait()
        return end

    @contextmanager
    def open_file(self) -> Iterator[int]:
        """Open the bytes that have arrived and will.

        Raises what the download failed with, and `NixerydError` for a blob that was
        evicted between its end and now.
        """
        self._raise()
        if self.path is not None:
            try:
                fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                raise NixerydError(
                    f"{self.digest} was removed a moment ago; ask again"
                ) from None
        else:
            fd = os.dup(self._fd)
        self._reading.add(fd)
        try:
            yield fd
        finally:
            self._reading.discard(fd)
            os.close(fd)

    def _readable(self) -> int:
        if self.verified:
            return self.arrived
        return min(self.arrived, (self.size or 0) - 1)

    def _raise(self) -> None:
        if self.error is not None:
            # One object for many tasks: its traceback must not grow with each.
            raise self.error.with_traceback(None)


class ArrivingBlob:
    """A download as the web layer serves it (`nixeryd.web.ports.LiveBlob`)."""

    made_from = "upstream"

    def __init__(self, download: Download, size: int) -> None:
        self._download = download
        self.size = size
        self.digest = download.digest

    @asynccontextmanager
    async def open(self, part: range) -> AsyncIterator["_Reader"]:
        """Open the bytes of `part`."""
        with self._download.open_file() as fd:
            yield _Reader(self._download, fd, part)


class _Reader:
    def __init__(self, download: Download, fd: int, part: range) -> None:
        self.fd = fd
        self._download = download
        self._part = part

    async def arrive(self) -> range:
        """Return the place in `fd` of the next bytes; empty at the end of the part."""
        part = self._part
        if part:
            end = min(await self._download.wait_for(part.start), part.stop)
            part, self._part = range(part.start, end), range(end, part.stop)
        return part
