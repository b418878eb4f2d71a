"""Single flight: work that several requests want runs once, for all of them.

A flight belongs to the nursery it was made with (the daemon's), never to a
request: a client that leaves cancels nothing, and one that comes back joins.
Between the look-up of a key and its entry there is no await, hence no lock.
"""

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import trio

from nixeryd.images.errors import NixerydError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Stopping(NixerydError):
    """The daemon is stopping, and the work with it."""


class _Flight(Generic[V]):
    def __init__(self) -> None:
        self.landed = trio.Event()
        self.value: V | None = None
        self.error: Exception | None = None
        self.waiters = 0


class Flights(Generic[K, V]):
    """Runs `work` once per key at a time and gives its result to all who ask."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._flights: dict[K, _Flight[V]] = {}

    def __repr__(self) -> str:
        return f"<Flights {sorted(map(repr, self._flights))}>"

    def __len__(self) -> int:
        return len(self._flights)

    def waiters(self, key: K) -> int:
        """Count who waits for this key now."""
        flight = self._flights.get(key)
        return 0 if flight is None else flight.waiters

    async def run(self, key: K, work: Callable[[], Awaitable[V]]) -> V:
        """Wait for the flight of this key; start it if there is none.

        What `work` raises, every waiter gets.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight()
            self._nursery.start_soon(self._fly, key, flight, work)
        flight.waiters += 1
        try:
            await flight.landed.wait()
        finally:
            flight.waiters -= 1
        if flight.error is not None:
            # One exception object goes to many tasks: without this its
            # traceback would grow with each of them.
            raise flight.error.with_traceback(None)
        return flight.value  # type: ignore[return-value]  # set unless error is

    async def _fly(
        self, key: K, flight: _Flight[V], work: Callable[[], Awaitable[V]]
    ) -> None:
        try:
            flight.value = await work()
        except Exception as error:  # noqa: BLE001  every waiter raises it
            flight.error = error
        except BaseException:
            flight.error = Stopping("nixeryd is stopping; ask again once it is back")
            raise
        finally:
            # Forgotten before it lands: who asks from now on starts anew.
            del self._flights[key]
            flight.landed.set()
