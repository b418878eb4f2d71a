"""Changes: a version that rises whenever there is something new to show.

Who shows it waits for a version beyond the one it has seen, and then looks at
the state itself. So nothing is queued for anybody: who is slow misses versions
and never the last one, and costs no memory.
"""

import trio


class Changes:
    """A version and who waits for the next one."""

    def __init__(self) -> None:
        self.version = 0
        self.is_closed = False
        self._next = trio.Event()

    def __repr__(self) -> str:
        return f"<Changes {self.version}{' closed' if self.is_closed else ''}>"

    def bump(self) -> None:
        """Say that something is new."""
        self.version += 1
        if self._next.statistics().tasks_waiting:
            self._next.set()
            self._next = trio.Event()

    def close(self) -> None:
        """Say that nothing new will come: all who wait, wait no longer."""
        self.is_closed = True
        self.bump()

    async def wait(self, seen: int) -> None:
        """Wait for a version beyond `seen`, or the end."""
        await trio.lowlevel.checkpoint()
        while self.version <= seen and not self.is_closed:
            await self._next.wait()
