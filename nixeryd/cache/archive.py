"""Archives, written from the blobs as they are read.

The law: what is sent is as long as was announced and every blob in it has its
digest, or the stream breaks off. What is in it is leased while it is read.
"""

import hashlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from nixeryd.images.descriptors import Descriptor
from nixeryd.images.errors import NixerydError
from nixeryd.layers.archives import Piece, archive_size
from nixeryd.store.blobs import Blobs

_CHUNK: Final = 1024 * 1024


class BrokenBlob(NixerydError):  # noqa: N818  a state
    """A blob is not what its digest says."""


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive that can be read; `size` in bytes."""

    blobs: Blobs
    pieces: Sequence[Piece]

    @property
    def size(self) -> int:
        return archive_size(self.pieces)

    @trio.as_safe_channel
    async def read(self) -> AsyncGenerator[bytes, None]:
        """Return the archive in chunks; raises `BrokenBlob`."""
        with self.blobs.leases.open() as lease:
            for piece in self.pieces:
                if isinstance(piece, Descriptor):
                    lease.add(piece.digest)
            for piece in self.pieces:
                if isinstance(piece, bytes):
                    yield piece  # noqa: ASYNC119  a safe channel
                else:
                    reader = _Reader(self.blobs, piece)
                    while chunk := await trio.to_thread.run_sync(reader.read):
                        yield chunk  # noqa: ASYNC119  a safe channel


class _Reader:
    """Reads a blob and its digest. Opens it for each chunk, to own nothing."""

    def __init__(self, blobs: Blobs, blob: Descriptor) -> None:
        self._blobs = blobs
        self._blob = blob
        self._at = 0
        self._hash = hashlib.sha256()

    def read(self) -> bytes:
        if self._at == self._blob.size:
            if self._hash.hexdigest() != self._blob.digest.hex:
                raise _broken(self._blob)
            return b""
        part = range(self._at, min(self._at + _CHUNK, self._blob.size))
        try:
            chunk = self._blobs.read_part(self._blob.digest, part)
        except (FileNotFoundError, NixerydError) as error:
            raise _broken(self._blob) from error
        if not chunk:
            raise _broken(self._blob)
        self._at += len(chunk)
        self._hash.update(chunk)
        return chunk


def _broken(blob: Descriptor) -> BrokenBlob:
    return BrokenBlob(
        f"{blob.digest} is damaged: nixeryd verify --repair removes it, and the next"
        " pull brings it back"
    )
