"""What Nix says that it is going to do, before it does it.

`nix-store --realise` lists it, with --dry-run or not: after a line that says what
follows, a store path in each line, indented by two. Derivations are built, all else is
fetched; that line has the sizes of what is fetched, in parentheses, first those to
download, then those unpacked.

Pure.
"""

import re
from dataclasses import dataclass, field, replace

from nixeryd.nix.transfers import Transfers

_PATH = re.compile(r"  (/\S+)$")
_SIZES = re.compile(
    r"\(([\d.]+) ([KMGT]?i?B)\b[^,)]*, ([\d.]+) ([KMGT]?i?B)\b[^)]*\):$"
)
_UNITS = {"B": 0, "KiB": 1, "MiB": 2, "GiB": 3, "TiB": 4}


@dataclass(frozen=True, slots=True)
class Planned:
    """So many derivations will be built, and paths fetched; sizes in bytes."""

    builds: int = 0
    downloads: int = 0
    download_size: int = 0
    unpacked_size: int = 0


@dataclass(slots=True)
class PlanReader:
    """Reads the plan from messages, line by line."""

    planned: Planned = field(default_factory=Planned)
    _is_told: bool = False
    _are_fetched: bool = False

    @property
    def is_without_builds(self) -> bool:
        """Whether all is told, and nothing is to be built."""
        return self._is_told and not self.planned.builds

    def feed(self, text: str) -> None:
        """Read one message, which may be anything."""
        if match := _PATH.match(text):
            now = self.planned
            if match[1].endswith(".drv"):
                self.planned = replace(now, builds=now.builds + 1)
            elif self._are_fetched:
                self.planned = replace(now, downloads=now.downloads + 1)
            return
        sizes = _SIZES.search(text)
        self._are_fetched = sizes is not None
        if sizes:
            self.planned = replace(
                self.planned,
                download_size=_bytes(sizes[1], sizes[2]),
                unpacked_size=_bytes(sizes[3], sizes[4]),
            )

    def finish(self, transfers: Transfers) -> Planned | None:
        """Return the plan, once, if there is something to do."""
        if self._is_told or self.planned == Planned():
            return None
        self._is_told = True
        transfers.plan(self.planned.download_size, self.planned.unpacked_size)
        return self.planned


def _bytes(number: str, unit: str) -> int:
    return round(float(number) * (1 << 10 * _UNITS.get(unit, 0)))
