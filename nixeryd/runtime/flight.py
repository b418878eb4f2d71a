"""Single flight: work that several requests want runs once, for all of them.

A flight belongs to the nursery it was made with (the daemon's), never to a
request: a client that leaves cancels nothing, and one that comes back joins.
Between the look-up of a key and its entry there is no await, hence no lock.
"""

from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import trio

from nixeryd.images.errors import ErrorCode, RegistryError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Stopping(RegistryError):  # noqa: N818  what happens, not what went wrong
    """The daemon is stopping, and the work with it.

    429, since that is what clients ask again at; most give up at 503.
    """

    def __init__(self) -> None:
        super().__init__(
            ErrorCode.TOOMANYREQUESTS,
            "nixeryd is stopping; ask again once it is back",
        )


class Waiters:
    """Who waits for a flight, by name; `on_change` is called when that changes."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self.on_change: Callable[[], None] = lambda: None
        self._since = trio.current_time()  # when the last one left

    def __iter__(self) -> Iterator[str]:
        """Return a name for each, "" for who has none."""
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def names(self) -> list[str]:
        """Return their names, as far as they have any."""
        return [name for name in self._names if name]

    @property
    def seconds_without(self) -> float:
        """How long nobody waits; 0 while somebody does."""
        return 0.0 if self._names else trio.current_time() - self._since

    @contextmanager
    def added(self, name: str) -> Iterator[None]:
        """Count one more until the end of the block."""
        self._names.append(name)
        self.on_change()
        try:
            yield
        finally:
            self._names.remove(name)
            self._since = trio.current_time()
            self.on_change()


class Flight(Generic[V]):
    """Work under way, or landed."""

    def __init__(self) -> None:
        self._landed = trio.Event()
        self._value: V | None = None
        self._error: Exception | None = None
        self.waiters = Waiters()

    async def wait(self, asker: str = "") -> V:
        """Return what the work gives, to every waiter; or raise what it raises."""
        if not self._landed.is_set():  # what has landed needs no patience
            with self.waiters.added(asker):
                await self._landed.wait()
        if self._error is not None:
            # One exception object goes to many tasks: without this its
            # traceback would grow with each of them.
            raise self._error.with_traceback(None)
        return self._value  # type: ignore[return-value]  # set unless error is

    async def fly(self, work: Callable[[], Awaitable[V]]) -> None:
        """Do the work, once; `Flights` calls this."""
        try:
            self._value = await work()
        except Exception as error:  # noqa: BLE001  every waiter raises it
            self._error = error
        except BaseException:
            self._error = Stopping()
            raise
        finally:
            self._landed.set()


class Flights(Generic[K, V]):
    """Runs `work` once per key at a time and gives its result to all who ask."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._flights: dict[K, Flight[V]] = {}

    def __repr__(self) -> str:
        return f"<Flights {sorted(map(repr, self._flights))}>"

    def __len__(self) -> int:
        return len(self._flights)

    def start(self, key: K, work: Callable[[], Awaitable[V]]) -> Flight[V]:
        """Return the flight of this key; it starts if there is none."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = Flight()
            self._nursery.start_soon(self._fly, key, flight, work)
        return flight

    async def run(self, key: K, work: Callable[[], Awaitable[V]]) -> V:
        """Wait for the flight of this key; start it if there is none."""
        return await self.start(key, work).wait()

    async def _fly(
        self, key: K, flight: Flight[V], work: Callable[[], Awaitable[V]]
    ) -> None:
        try:
            await flight.fly(work)
        finally:
            # No await since it landed: who asks from now on starts anew.
            del self._flights[key]
