"""What has come of a blob and is not written yet."""

import trio

# Bytes between the network and the disk, and as many in the write under way.
BUFFERED = 2 << 20


class Pieces:
    """Pieces of a blob in their order, a few megabytes of them at most."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._ended = False
        self._changed = trio.lowlevel.ParkingLot()

    async def put(self, piece: bytes) -> None:
        """Add a piece, once there is room."""
        while self._size >= BUFFERED:
            await self._changed.park()
        self._pieces.append(piece)
        self._size += len(piece)
        self._changed.unpark_all()

    def end(self) -> None:
        """Add no more."""
        self._ended = True
        self._changed.unpark_all()

    async def take(self) -> list[bytes]:
        """Wait for pieces and take them all; none at the end."""
        while not (self._pieces or self._ended):
            await self._changed.park()
        taken, self._pieces, self._size = self._pieces, [], 0
        self._changed.unpark_all()
        return taken
