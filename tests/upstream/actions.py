"""What a FaultServer is asked, and what it can be told to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import trio


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.target}"


class Hold:
    """Stops a response until the test calls `release`; `reached` tells that it did.

    As a rule by itself: stop before anything is done, then go on to the next rule.
    """

    def __init__(self) -> None:
        self.reached = trio.Event()
        self._released = trio.Event()

    def release(self) -> None:
        self._released.set()

    async def wait(self) -> None:
        self.reached.set()
        await self._released.wait()


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer this, without the backend. `length`: what to claim, if not the truth."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Let the backend answer, and change that answer.

    `headers`: new values, None takes one away. `cut_after`: hang up after so many
    bytes of the body. `corrupt_at`: flip the byte there. `ignore_range`: the backend
    does not see `Range`. `hold`: wait, before the head or after `hold_after` bytes.
    """

    headers: Mapping[str, str | None] = field(default_factory=dict)
    cut_after: int | None = None
    corrupt_at: int | None = None
    ignore_range: bool = False
    hold: Hold | None = None
    hold_after: int | None = None


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the connection without a word."""
