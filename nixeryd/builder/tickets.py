"""Tickets: how a client that was told to come back finds its build again.

A build may take longer than a client waits for headers, so it is sent round in
a circle of redirects (`web.waiting`). Its pull began when it first asked, and
what it gets is that build, whatever was edited since.
"""

import secrets
from collections.abc import Hashable
from typing import Generic, TypeVar

import trio

from nixeryd.runtime.flight import Flight

V = TypeVar("V")
KEPT = 600.0  # seconds that a ticket is good for after it was last shown


class Tickets(Generic[V]):
    """Flights under names that cannot be guessed, kept past their landing."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, Hashable], tuple[float, Flight[V]]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def issue(
        self, flight: Flight[V], owner: Hashable, ticket: str | None = None
    ) -> str:
        """Return a ticket for a flight, or renew the one it was found by.

        It is good for what `owner` says only, and for nobody else's flight.
        """
        now = trio.current_time()
        self._kept = {name: kept for name, kept in self._kept.items() if now < kept[0]}
        ticket = ticket or secrets.token_urlsafe(9)
        self._kept[ticket, owner] = (now + KEPT, flight)
        return ticket

    def find(self, ticket: str | None, owner: Hashable) -> Flight[V] | None:
        """Return the flight of a ticket; None if it is unknown or too old."""
        until, flight = self._kept.get((ticket or "", owner), (0.0, None))
        return flight if trio.current_time() < until else None
