"""How often, and after how long, a request is repeated.

Law: only what may help is repeated (`UpstreamError.transient`); the upstream's own
`Retry-After` is kept to, or we give up at once; the sum of all waits is bounded.
Deadlines are the caller's: it knows who waits.

https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
"""

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeVar

import trio

from nixeryd.upstream.errors import UpstreamError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The rules, and the time they live by; all times in seconds.

    `clock` is the wall clock (tokens and dates outlive a laptop's sleep, which the
    monotonic clock does not count); `jitter` gives numbers from 0 to 1.
    """

    attempts: int = 3
    first_wait: float = 0.25
    longest_wait: float = 10.0
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = trio.sleep
    jitter: Callable[[], float] = random.random

    async def retry(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Call `attempt` until it succeeds or there is no sense in going on.

        The error it then raises is no longer transient: it has been tried enough.
        """
        made = 0
        while True:
            try:
                return await attempt()
            except UpstreamError as error:
                made += 1
                wait = self.wait_after(error, made)
                if wait is None:
                    error.transient = False
                    raise
            await self.sleep(wait)

    def wait_after(self, error: UpstreamError, made: int) -> float | None:
        """Say how long to wait after the `made`-th failure; None: give up."""
        if not error.transient or made >= self.attempts:
            return None
        if error.retry_after is not None:
            wait = max(0.0, error.retry_after)
            return wait if wait <= self.longest_wait else None
        # Half of the wait is random, so that clients do not come back in step.
        doubled = self.first_wait * float(2 ** (made - 1))
        return min(doubled, self.longest_wait) * (1 + self.jitter()) / 2


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Read `Retry-After`: seconds from `now`; None if it is absent or nonsense."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None
