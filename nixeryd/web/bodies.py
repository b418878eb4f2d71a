"""Blob bodies: part of a file, or of a blob that arrives or is made meanwhile.

The law: a blob is opened and its size compared before the first header is sent,
and what is sent is exactly as long as announced or cut, never padded. Knows
nothing of HTTP; how the bytes of a file reach a client is `sendfile`'s.
"""

import os
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Self

from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.images.served_manifests import BlobFile
from nixeryd.web.ports import BlobStream, LiveBlob
from nixeryd.web.zerocopy import FileData


class DamagedBlobError(NixerydError):
    """A blob is not as long as was announced."""


def open_body(blob: BlobFile | LiveBlob, part: range) -> "FileBody | LiveBody":
    """Open `part` of a blob for sending; nothing to close if never sent.

    Raises BLOB_UNKNOWN if its file is gone and DamagedBlobError if it is too
    short or too long.
    """
    match blob:
        case BlobFile():
            # No thread: what was just found by its name is opened in no time.
            return FileBody(_open(blob), part)
        case _:
            return LiveBody(blob, part)


class FileBody:
    """Part of an open file. Closes itself when dropped: it may never be sent."""

    def __init__(self, fd: int, part: range) -> None:
        self.fd = fd
        self.part = part

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        with suppress(OSError):
            self.__exit__()


class LiveBody:
    """Part of a blob in pieces, as they come: open while it is iterated over."""

    def __init__(self, blob: LiveBlob, part: range) -> None:
        self._blob = blob
        self._part = part
        self._left = len(part)
        self._stack = AsyncExitStack()
        self._stream: BlobStream

    async def __aenter__(self) -> Self:
        self._stream = await self._stack.enter_async_context(
            self._blob.open(self._part)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # What it holds shields its own clean-up.
        await self._stack.__aexit__(kind, error, traceback)  # noqa: ASYNC102

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> FileData | bytes:
        # No async generator: one that is dropped half-way needs a loop to end it.
        if not self._left:
            raise StopAsyncIteration
        part = await self._stream.arrive()
        if not part:
            raise DamagedBlobError(f"a blob ended {self._left} bytes early")
        if len(part) > self._left:
            raise DamagedBlobError(f"a blob has {len(part) - self._left} bytes extra")
        self._left -= len(part)
        return part if isinstance(part, bytes) else FileData(self._stream.fd, part)


def _open(blob: BlobFile) -> int:
    try:
        fd = os.open(blob.path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise RegistryError(
            ErrorCode.BLOB_UNKNOWN, f"{blob.digest} is not here any more"
        ) from None
    size = os.fstat(fd).st_size
    if size != blob.size:
        os.close(fd)
        raise DamagedBlobError(
            f"{blob.digest} is damaged: {size} bytes instead of {blob.size};"
            " nixeryd verify removes it, and the next pull brings it back"
        )
    return fd
