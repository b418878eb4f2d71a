"""What git keeps on our disk: commits laid out as files, and what was fetched.

The law: it takes `limit` bytes at most, as far as nobody is using it. What was unused
longest goes first, whole directories at a time, as all of it can be made again: in
seconds what is laid out, by fetching the rest. What belongs to no source any more is
as any other.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import trio

from nixeryd.git.remote import Remote
from nixeryd.git.trees import Trees
from nixeryd.images.sizes import render_size

IDLE = 60.0  # seconds: who looked something up may not have opened it yet

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Piece:
    path: Path
    used: float
    size: int


@dataclass(slots=True)
class Storage:
    """The directories below the root of `trees`, and below `fetched`.

    `on_size` is told the bytes of all of them whenever they may have changed.
    """

    trees: Trees
    fetched: Path
    limit: int | None = None
    on_size: Callable[[int], None] = lambda _: None
    _remotes: list[Remote] = field(default_factory=list)
    _changed: trio.Event = field(default_factory=trio.Event)

    def __post_init__(self) -> None:
        """Hear of what is laid out."""
        self.trees.on_change = self.look

    def add(self, remote: Remote) -> Remote:
        """Keep what is fetched from there, too; return it."""
        remote.on_change = self.look
        self._remotes.append(remote)
        return remote

    def set_cap(self, cap: int | None) -> None:
        """Take half of what all together may have, in bytes; None for no limit."""
        self.limit = None if cap is None else cap // 2
        self.look()

    def look(self) -> None:
        """See soon whether all is within the limit."""
        self._changed.set()

    async def run(self) -> None:
        """Keep the limit, for ever."""
        while True:
            await self.trim()
            await self._changed.wait()
            self._changed = trio.Event()

    async def trim(self) -> None:
        """Let go what was unused longest, until the rest is within the limit."""
        roots = (self.trees.root, self.fetched)
        pieces = await trio.to_thread.run_sync(_weigh, roots)
        total = sum(piece.size for piece in pieces)
        latest = time.time() - IDLE
        for piece in sorted(pieces, key=lambda piece: piece.used):
            if self.limit is None or total <= self.limit or piece.used > latest:
                break
            if await self._drop(piece.path):
                total -= piece.size
                log.info(
                    "let go what git had fetched or laid out",
                    directory=str(piece.path),
                    size=render_size(piece.size),
                )
        self.on_size(total)

    async def _drop(self, path: Path) -> bool:
        if path.parent == self.trees.root:
            return await self.trees.drop(path)
        if self.trees.is_reading(path):
            return False
        for remote in self._remotes:
            if path in remote.places:
                return await remote.drop(path)
        await trio.to_thread.run_sync(shutil.rmtree, path, True)  # noqa: FBT003
        return True


def _weigh(roots: Sequence[Path]) -> list[_Piece]:
    return [
        _Piece(path, path.stat().st_mtime, sum(_sizes(path)))
        for root in roots
        if root.is_dir()
        for path in root.iterdir()
    ]


def _sizes(directory: Path) -> Iterator[int]:
    """Return what the files take on the disk, as far as they stay to be looked at."""
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                yield os.lstat(f"{parent}/{name}").st_blocks * 512  # POSIX's unit
            except OSError:
                continue
