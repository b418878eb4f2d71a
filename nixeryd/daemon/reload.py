"""Reading the configuration again while the daemon serves.

The law: all or nothing. If anything in it is wrong, the daemon keeps what it
has and says what is wrong. No connection and no build is touched: what is new
counts from the next request on.

Who owns a setting registers how to take a new value: in a way that cannot fail
(`on`), or in two steps, of which only the first can (`prepare`). A setting that
nobody registered needs a restart, and that is said.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

import structlog
import trio

from nixeryd.config.origins import flatten
from nixeryd.config.settings import Settings
from nixeryd.images.errors import NixerydError

log = structlog.get_logger()

Take: TypeAlias = Callable[[Settings], None]
Prepare: TypeAlias = Callable[[Settings], Awaitable[Callable[[], None]]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a reload did: names of settings, such as "nix.timeout"."""

    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]


class Reloading:
    """The settings in force, and what to call when they change."""

    def __init__(self, settings: Settings, load: Callable[[], Settings]) -> None:
        self.settings = settings
        self._started_with = flatten(settings)
        self._load = load
        self._preparers: dict[str, Prepare] = {}
        self._lock = trio.Lock()

    def on(self, *names: str, take: Take) -> None:
        """Call `take` with the new settings when one of these changes.

        A name stands for all below it, too: "cache" for "cache.max_size".
        """

        async def prepare(new: Settings) -> Callable[[], None]:
            return lambda: take(new)

        self.prepare(*names, prepare=prepare)

    def prepare(self, *names: str, prepare: Prepare) -> None:
        """Call `prepare` with the new settings, then what it returned.

        It may raise a `NixerydError`, and then leaves everything as it was. What it
        returned cannot fail, and is called unless another one raises.
        """
        for name in names:
            self._preparers[name] = prepare

    async def reload(self) -> Outcome:
        """Read the configuration again; raises `NixerydError` and changes nothing."""
        async with self._lock:
            new = self._load()
            before, after = flatten(self.settings), flatten(new)
            found = {
                name: self._preparer(name) for name in before.keys() | after.keys()
            }
            changed = sorted(
                name
                for name, preparer in found.items()
                if preparer and before.get(name) != after.get(name)
            )
            stale = sorted(
                name
                for name, preparer in found.items()
                if not preparer and self._started_with.get(name) != after.get(name)
            )
            # Once each: one may own several settings.
            preparers = dict.fromkeys(found[name] for name in changed)
            ready = [await prepare(new) for prepare in preparers if prepare]
            self.settings = new
            for take in ready:
                take()
        return Outcome(tuple(changed), tuple(stale))

    def _preparer(self, name: str) -> Prepare | None:
        while name:
            if name in self._preparers:
                return self._preparers[name]
            name = name.rpartition(".")[0]
        return None

    async def on_signal(self) -> None:
        """Reload, and log how it went: nobody waits for an answer."""
        try:
            outcome = await self.reload()
        except NixerydError as error:
            log.warning("configuration not reloaded", error=str(error))
        else:
            log.info(
                "configuration reloaded",
                changed=outcome.changed,
                needs_restart=outcome.needs_restart,
            )
