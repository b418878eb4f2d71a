"""Reading the configuration again while the daemon serves.

The law: all or nothing. If anything in it is wrong, the daemon keeps what it
has and says what is wrong. No connection and no build is touched: what is new
counts from the next request on.

Who owns a setting registers how to take a new value (`on`), in a way that
cannot fail; a setting that nobody registered needs a restart, and that is said.
"""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from nixeryd.config import Settings
from nixeryd.images.errors import NixerydError
from nixeryd.origins import flatten

log = structlog.get_logger()


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
        self._takers: dict[str, Callable[[Settings], None]] = {}

    def on(self, *names: str, take: Callable[[Settings], None]) -> None:
        """Call `take` with the new settings when one of these changes.

        A name stands for all below it, too: "cache" for "cache.max_size".
        """
        for name in names:
            self._takers[name] = take

    def reload(self) -> Outcome:
        """Read the configuration again; raises `ConfigError` and changes nothing."""
        new = self._load()
        before, after = flatten(self.settings), flatten(new)
        taken = {name: self._taker(name) for name in before.keys() | after.keys()}
        changed = sorted(
            name
            for name, taker in taken.items()
            if taker and before.get(name) != after.get(name)
        )
        stale = sorted(
            name
            for name, taker in taken.items()
            if not taker and self._started_with.get(name) != after.get(name)
        )
        self.settings = new
        # Once each: one taker may own several settings.
        for take in dict.fromkeys(taken[name] for name in changed):
            if take:
                take(new)
        return Outcome(tuple(changed), tuple(stale))

    def _taker(self, name: str) -> Callable[[Settings], None] | None:
        while name:
            if name in self._takers:
                return self._takers[name]
            name = name.rpartition(".")[0]
        return None

    def on_signal(self) -> None:
        """Reload, and log how it went: nobody waits for an answer."""
        try:
            outcome = self.reload()
        except NixerydError as error:
            log.warning("configuration not reloaded", error=str(error))
        else:
            log.info(
                "configuration reloaded",
                changed=outcome.changed,
                needs_restart=outcome.needs_restart,
            )
