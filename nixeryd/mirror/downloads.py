"""Downloads: each upstream is asked once at a time for a blob, however many want it.

Law: a download belongs to the daemon's nursery and never to who asked. Its bytes are
hashed as they come; the blob is in the store only when it is whole, right and safe on
disk. Until then it belongs to the upstream that was asked, so that none can delay or
spoil another's; the first to prove the digest ends the others' downloads of it. A
broken connection is taken up where it broke. A few megabytes of memory for each,
whatever the blob's size and whoever reads along.
"""

import hashlib
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import structlog
import trio

from nixeryd.images.digests import Digest
from nixeryd.images.errors import NixerydError
from nixeryd.images.served_manifests import FilePath
from nixeryd.mirror.download import Download
from nixeryd.mirror.errors import is_missing
from nixeryd.mirror.pieces import BUFFERED, Pieces
from nixeryd.runtime.flight import Stopping
from nixeryd.runtime.metrics import UPSTREAM_BYTES
from nixeryd.store.blobs import Blobs
from nixeryd.store.mirrored import Mirrored, UpstreamRepository
from nixeryd.store.publishing import publish
from nixeryd.store.staged import Staged
from nixeryd.upstream import (
    BlobStream,
    RetryPolicy,
    Upstream,
    UpstreamBroken,
    UpstreamUnreachable,
)

if TYPE_CHECKING:
    from collections.abc import Callable

E = TypeVar("E", bound=Exception)

log = structlog.get_logger()

# A laptop's network may be away for a moment: waits of 0.5 to 10 seconds.
RESUMING = RetryPolicy(attempts=6, first_wait=0.5)
# Bytes that must come for a connection to count as one that worked.
_PROGRESS = 1 << 20
# Bytes of a blob whose size is not told, as it is by all known registries.
LARGEST_UNTOLD = 1 << 30


class Downloads:
    """The blobs that are on their way."""

    def __init__(
        self,
        blobs: Blobs,
        mirrored: Mirrored,
        nursery: trio.Nursery,
        retry_policy: RetryPolicy = RESUMING,
    ) -> None:
        self._blobs = blobs
        self._mirrored = mirrored
        self._nursery = nursery
        self._retry_policy = retry_policy
        self._running: dict[tuple[str, Digest], Download] = {}
        self.on_news: Callable[[], None] = lambda: None
        # Hashing takes a core: more at once would only share it.
        self._hashing = trio.CapacityLimiter(os.cpu_count() or 1)

    def _tell(self) -> None:
        self.on_news()

    def running(self) -> list[Download]:
        """List the downloads under way, the oldest first."""
        return list(self._running.values())

    def find(self, upstream: Upstream, digest: Digest) -> Download | None:
        """Find the download of this blob from this upstream, if it is under way."""
        return self._running.get((upstream.name, digest))

    def start(
        self, upstream: Upstream, place: UpstreamRepository, digest: Digest
    ) -> Download:
        """Join the download of this blob from this upstream, or start it."""
        download = self.find(upstream, digest)
        if download is None:
            download = Download(place, digest, self._tell)
            self._running[place.upstream, digest] = download
            self.on_news()
            self._nursery.start_soon(self._run, upstream, download)
        return download

    def stop(self, reason: NixerydError) -> None:
        """Break all downloads off."""
        for download in self.running():
            self._end(download, reason)
            download.scope.cancel()

    async def _run(self, upstream: Upstream, download: Download) -> None:
        began = trio.current_time()
        try:
            with download.scope:
                await self._fetch(upstream, download)
        except* NixerydError as group:
            self._end(download, _first(group))
        except* OSError as group:
            self._end(download, NixerydError(f"cannot be stored: {_first(group)}"))
        except* Exception:
            log.exception("a download failed", blob=str(download.digest))
            self._end(download, NixerydError("a defect of nixeryd: see its log"))
        finally:
            # Cancelled, or a defect: nobody may wait for ever.
            self._end(download, Stopping())
        bound = log.bind(blob=str(download.digest), source=str(download.place))
        seconds = round(trio.current_time() - began, 3)
        if download.path is None:
            missing = download.error is not None and is_missing(download.error)
            tell = bound.info if missing else bound.warning
            tell("download failed", error=str(download.error))
        else:
            bound.info("downloaded", size=download.size, seconds=seconds)

    def _end(self, download: Download, error: NixerydError) -> None:
        """Make it failed unless it has ended. Who asks from now on starts anew."""
        if not download.has_ended:
            download.fail(error)
        key = (download.place.upstream, download.digest)
        if self._running.get(key) is download:
            del self._running[key]
            self.on_news()

    async def _fetch(self, upstream: Upstream, download: Download) -> None:
        sha256 = hashlib.sha256()
        with self._blobs.stage() as staged:
            download.begin(staged.fd)
            pieces = Pieces()
            with download.receiving:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write, pieces, staged, sha256, download)
                    await self._receive(upstream, download, pieces)
                    pieces.end()
            if download.receiving.cancelled_caught:
                await self._take(upstream, download, staged)
                return
            found = Digest(sha256.hexdigest())
            if found != download.digest:
                raise UpstreamBroken(
                    upstream.name,
                    f"sent a blob of {download.place.repository} with the digest"
                    f" {found}, not {download.digest}",
                )
            download.verify()
            path = await publish(
                self._blobs,
                download.digest,
                partial(staged.commit, download.digest),
                partial(self._mirrored.add_blob, download.digest, staged.size),
                kind="mirrored blob",
            )
            download.succeed(path)
            for other in self.running():
                if other.digest == download.digest and not other.verified:
                    other.receiving.cancel()

    async def _take(
        self, upstream: Upstream, download: Download, staged: Staged
    ) -> None:
        """End with what another registry has proven, if it fits what came so far."""
        proven = self._blobs.file(download.digest)
        if proven is None:
            raise NixerydError("was removed a moment ago; ask again")
        fits = download.size in (None, proven.size)
        if not fits or not await trio.to_thread.run_sync(
            _begins_with, proven.path, staged.fd, download.arrived
        ):
            raise UpstreamBroken(
                upstream.name,
                f"was sending other bytes for {download.digest} than its digest says",
            )
        download.take(Path(proven.path))

    async def _write(
        self,
        pieces: "Pieces",
        staged: Staged,
        sha256: "hashlib._Hash",
        download: Download,
    ) -> None:
        def write(taken: list[bytes]) -> None:
            for piece in taken:
                sha256.update(piece)
                staged.write(piece)

        # All there is: one trip to a thread for many pieces if they come fast.
        while taken := await pieces.take():
            await trio.to_thread.run_sync(write, taken, limiter=self._hashing)
            arrived = sum(map(len, taken))
            UPSTREAM_BYTES.inc(download.place.upstream, by=arrived)
            download.note(arrived=arrived)

    async def _receive(
        self,
        upstream: Upstream,
        download: Download,
        pieces: "Pieces",
    ) -> None:
        """Pass the blob's bytes on, from as many connections as it takes."""
        received = counted = failures = 0
        while True:
            try:
                async with upstream.open_blob(
                    download.place.repository, download.digest, received
                ) as stream:
                    self._check_size(upstream, download, stream, received)
                    surplus = received - stream.start
                    async for chunk in stream:
                        # From the start again, if the upstream knows no ranges.
                        piece = chunk[surplus:]
                        surplus -= len(chunk) - len(piece)
                        if piece:
                            received += len(piece)
                            self._check_end(upstream, download, received)
                            await pieces.put(piece)
                if download.size not in (None, received):
                    raise UpstreamBroken(
                        upstream.name,
                        f"sent {received} bytes of a blob of {download.size}",
                    )
            except UpstreamUnreachable as error:
                failures = 1 if received - counted >= _PROGRESS else failures + 1
                counted = received
                if not received:
                    raise  # the client has tried it often enough
                wait = self._wait(error, failures)
                log.info(
                    "download broke, resuming",
                    blob=str(download.digest),
                    source=str(download.place),
                    at=received,
                    error=str(error),
                )
            else:
                return
            await self._retry_policy.sleep(wait)

    def _check_end(self, upstream: Upstream, download: Download, received: int) -> None:
        """Break off what goes on after its end, or has none."""
        if download.size is not None and received > download.size:
            raise UpstreamBroken(
                upstream.name, f"goes on after a blob's {download.size} bytes"
            )
        if download.size is None and received > LARGEST_UNTOLD:
            raise UpstreamBroken(
                upstream.name,
                f"sent {LARGEST_UNTOLD} bytes without saying how large the blob is",
            )

    def _wait(self, error: UpstreamUnreachable, failures: int) -> float:
        error.transient = True  # a new connection is a new chance
        wait = self._retry_policy.wait_after(error, failures)
        if wait is None:
            raise error
        return wait

    def _check_size(
        self, upstream: Upstream, download: Download, stream: BlobStream, received: int
    ) -> None:
        if download.size is None and stream.size is not None:
            self._blobs.require_space(stream.size)
            download.note(size=stream.size)
        elif received and stream.size not in (None, download.size):
            raise UpstreamBroken(
                upstream.name, "has a blob of another size than before"
            )


def _begins_with(path: FilePath, fd: int, size: int) -> bool:
    """Compare the first `size` bytes of two files."""
    with open(path, "rb", buffering=0) as whole:  # noqa: PTH123  any path
        return all(
            os.pread(whole.fileno(), min(BUFFERED, size - at), at)
            == os.pread(fd, min(BUFFERED, size - at), at)
            for at in range(0, size, BUFFERED)
        )


def _first(group: BaseExceptionGroup[E]) -> E:
    error: BaseExceptionGroup[E] | E = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
