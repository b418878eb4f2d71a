"""What Nix does for one image, in one line that does not jump between paths."""

import time
from collections.abc import Mapping
from typing import Any

from nixeryd.images.sizes import render_size
from nixeryd.runtime.rates import Rate


class Work:
    """Sums up the events of a build while Nix builds and downloads."""

    def __init__(self) -> None:
        self._totals: dict[str, tuple[int, int]] = {}
        self._building: dict[str, str] = {}  # phases, the oldest derivation first
        self._paths: dict[str, tuple[int, int]] = {}
        self._transfer = (0, 0)
        self._rate = Rate()

    def note(self, event: Mapping[str, Any]) -> bool:
        """Take in an event; tell whether it was one of these."""
        match event["type"]:
            case "building":
                self._building[event["drv"]] = event["phase"]
            case "built":
                self._building.pop(event["drv"], None)
            case "downloading":
                self._paths[event["path"]] = (event["done"], event["expected"])
            case "downloaded":
                self._paths.pop(event["path"], None)
            case "totals":
                self._totals[event["kind"]] = (event["done"], event["expected"])
            case "planned":
                self._transfer = (0, event["size"])
            case "fetching":
                self._transfer = (event["done"], event["expected"])
                self._rate.add(time.monotonic(), event["done"])
            case _:
                return False
        return True

    def line(self) -> str:
        """Say all of it: counts first, then what began first and goes on."""
        parts = [
            f"{kind} {done} of {expected}"
            for kind, (done, expected) in sorted(self._totals.items())
            if expected
        ]
        if self._transfer[1]:
            now, (done, expected) = time.monotonic(), self._transfer
            rate, left = self._rate.per_second(now), self._rate.left(now, expected)
            parts.append(render_transfer(done, expected, rate, left))
        for path, (done, expected) in self._paths.items():
            of = f" of {render_size(expected)}" if expected else ""
            parts.append(f"{_name(path)} {render_size(done)}{of}")
            break
        for drv, phase in self._building.items():
            parts.append(f"{_name(drv)} {phase}".rstrip())
            break
        return ", ".join(parts)


def render_transfer(
    done: int, expected: int, rate: float = 0, left: float | None = None
) -> str:
    """Say it as `63 MB of 163 MB, 12 MB/s, 8 s left`; what is not known is left out."""
    parts = [f"{render_size(done)} of {render_size(expected)}"]
    if rate:
        parts.append(f"{render_size(round(rate))}/s")
    if left is not None and rate and done < expected:
        minutes, seconds = divmod(round(left), 60)
        parts.append(f"{minutes} min left" if minutes else f"{seconds} s left")
    return ", ".join(parts)


def _name(path: str) -> str:
    return path.rpartition("/")[2].partition("-")[2].removesuffix(".drv")
