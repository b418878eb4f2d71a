"""Limits of an evaluation: Nix code may loop for ever or eat all memory.

It is the user's own code, so these are against accidents: what goes wrong is that
image's error, and nobody else notices.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Limits:
    """What one evaluation may take, 0 for no limit; changed while the daemon runs.

    `memory` is address space (RLIMIT_AS), in bytes.
    """

    seconds: int = 0
    memory: int = 0

    @property
    def deadline(self) -> float:
        """Seconds from the start of an evaluation to its end by force."""
        return self.seconds or float("inf")

    def wrap(self, command: Sequence[str]) -> list[str]:
        """Give the command that runs this one within `memory`."""
        if not self.memory:
            return list(command)
        # The only way to set it that is everywhere, and runs nothing in our process.
        script = 'ulimit -v "$0" && exec "$@"'
        return ["/bin/sh", "-c", script, str(self.memory >> 10), *command]
