"""Limits of what Nix does: an evaluation may loop for ever, a cache may never answer.

All is the user's own, so these are against accidents: what goes wrong is that image's
error, and nobody else notices.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Limits:
    """What one image may take, 0 for no limit; changed while the daemon runs.

    Evaluation: `seconds`, and address space (RLIMIT_AS) in bytes, `memory`. Realising:
    `cache_seconds` without a byte from a binary cache that Nix waits for, and `builds`,
    how many derivations. Fetching a source: `fetching` seconds.
    """

    seconds: int = 0
    memory: int = 0
    cache_seconds: int = 0
    builds: int = 0
    fetching: int = 0

    @property
    def deadline(self) -> float:
        """Seconds from the start of an evaluation to its end by force."""
        return self.seconds or float("inf")

    @property
    def patience(self) -> float:
        """Seconds from the start of fetching to its end by force."""
        return self.fetching or float("inf")

    def wrap(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs this one within `memory`."""
        if not self.memory:
            return list(command)
        # The only way to set it that is everywhere, and runs nothing in our process.
        script = 'ulimit -v "$0" && exec "$@"'
        return ["/bin/sh", "-c", script, str(self.memory >> 10), *command]

    @property
    def cache_options(self) -> dict[str, str]:
        """Settings of Nix that let it give a cache up before `cache_seconds` are over.

        It tries five times. A Nix daemon takes the second from trusted users only.
        """
        if not self.cache_seconds:
            return {}
        patience = str(max(1, self.cache_seconds // 6))
        return {"connect-timeout": patience, "stalled-download-timeout": patience}
