"""A scheduler that runs tasks and threads in one order for each seed.

trio draws the order of its tasks from a seeded generator, as pytest-trio has it for
hypothesis. A function that would run in a thread is a greenlet: it stops before each
call of the operating system that others can see, lets other tasks run, and goes on. So
a seed is an interleaving, and the same seed the same one. What a disk would take long
for (fsync) is only such a stop.
"""

import os
import random
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import greenlet
import pytest
import trio

T = TypeVar("T")
_DELAYS = (0, 0, 0, 1, 1, 2, 6)  # turns of the other tasks
_CHANGES = ("rename", "replace", "unlink")
_STOPS = (*_CHANGES, "fsync", "utime")
_HEX = re.compile("[0-9a-f]{64}")
_PATIENCE = 3000  # stops of one run: more is no progress


class Scheduler:
    """Draws all that is left to chance; `on_stop` hears of each stop."""

    def __init__(self) -> None:
        self.random = random.Random()
        self.on_stop: Callable[[], None] = lambda: None
        self.trace: deque[str] = deque(maxlen=60)
        self.changes = 0  # of the names of files
        self._stops = 0

    def begin(self, seed: str) -> None:
        self.random.seed(seed)
        self.trace.clear()
        self._stops = 0

    def note(self, what: str) -> None:
        task = trio.lowlevel.current_task()
        self.trace.append(f"{task.name}: {what}")

    async def pause(self, what: str) -> None:
        """Let others run, for as long as chance has it."""
        self._stops += 1
        if self._stops > _PATIENCE:
            raise AssertionError("it does not come to an end")
        self.note(what)
        self.on_stop()
        for _ in range(self.random.choice(_DELAYS)):
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def run_sync(
        self,
        function: Callable[..., T],
        *args: Any,
        limiter: trio.CapacityLimiter | None = None,
        **_: Any,
    ) -> T:
        """Do what `trio.to_thread.run_sync` does."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if limiter is None:
            return await self._run(function, *args)
        token = object()
        await limiter.acquire_on_behalf_of(token)
        try:
            return await self._run(function, *args)
        finally:
            limiter.release_on_behalf_of(token)

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        thread = greenlet.greenlet(function)
        await self.pause(f"thread: {_name(function)}")
        value = thread.switch(*args)
        while not thread.dead:
            await self.pause(value)
            value = thread.switch()
        await self.pause("thread ends")
        return value

    def _stopping(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def stop(*args: Any, **kwargs: Any) -> Any:
            thread = greenlet.getcurrent()
            self.changes += name in _CHANGES
            if thread.parent is not None:  # in a thread
                where = [str(one).rpartition("/")[2] for one in args]
                known = [one[:8] for one in where if _HEX.match(one)]
                thread.parent.switch(" ".join([name, *known]))
            return None if name == "fsync" else call(*args, **kwargs)

        return stop

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Take the place of chance and threads until the block ends."""
        core = trio._core._run
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(core, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
            patch.setattr(core, "_r", self.random)
            patch.setattr(trio.to_thread, "run_sync", self.run_sync)
            patch.setattr(trio.from_thread, "check_cancelled", lambda: None)
            for name in _STOPS:
                patch.setattr(os, name, self._stopping(name, getattr(os, name)))
            yield


def _name(function: Callable[..., object]) -> str:
    while isinstance(function, partial):
        function = function.func
    return function.__qualname__


def run(scheduler: Scheduler, main: Callable[[], Awaitable[T]]) -> T:
    """Run all that `main` does under a scheduler."""
    with scheduler.installed():
        return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
