"""Alternating runs, their medians, and the tables they are shown in."""

import json
import os
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

OURS: Final = "nixeryd"

_favoured = False


@dataclass(frozen=True, slots=True)
class Result:
    """One thing measured for several contenders; `runs` in the order they ran."""

    what: str
    unit: str
    runs: Mapping[str, Sequence[float]]
    more_is_better: bool = False
    ours: str = OURS

    def median(self, contender: str) -> float:
        return statistics.median(self.runs[contender])

    def ratio(self, contender: str) -> float:
        """How many times as good as this contender we are."""
        ours, theirs = self.median(self.ours), self.median(contender)
        return ours / theirs if self.more_is_better else theirs / ours


def alternate(  # noqa: PLR0913  what is measured
    what: str,
    unit: str,
    contenders: Mapping[str, Callable[[], float]],
    runs: int,
    *,
    more_is_better: bool = False,
    ours: str = OURS,
) -> Result:
    """Run each contender in turn, so that what else the machine does hits all."""
    measured: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(runs):
        for name, run in contenders.items():
            measured[name].append(run())
    result = Result(what, unit, measured, more_is_better, ours)
    print("\n".join(_rows(result)), file=sys.stderr, flush=True)
    return result


def render(results: Sequence[Result]) -> str:
    head = [
        "| what | who | median | lowest to highest | nixeryd is better by |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    return "\n".join([*head, *(row for result in results for row in _rows(result))])


def _rows(result: Result) -> Iterator[str]:
    for number, (who, runs) in enumerate(result.runs.items()):
        is_peer = who != result.ours and result.ours in result.runs
        ratio = f"{result.ratio(who):.2f} x" if is_peer else ""
        what = "" if number else result.what
        median = f"{_figure(result.median(who))} {result.unit}"
        spread = f"{_figure(min(runs))} to {_figure(max(runs))}"
        yield f"| {what} | {who} | {median} | {spread} | {ratio} |"


def write_json(
    file: Path, about: Mapping[str, object], results: Sequence[Result]
) -> None:
    document = {"about": about, "results": [asdict(result) for result in results]}
    file.write_text(json.dumps(document, indent=1) + "\n")


def _figure(number: float) -> str:
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def favour_everything() -> None:
    """From now on, let what is measured go before other sessions' processes."""
    global _favoured  # noqa: PLW0603  one decision for the whole run
    _favoured = True
    favour("self")


def favoured_programs(directory: Path, programs: Sequence[str]) -> str:
    """Return a PATH on which these programs do so, as they start sessions, too."""
    path = os.environ["PATH"]
    if not _favoured:
        return path
    directory.mkdir(parents=True, exist_ok=True)
    for name in programs:
        program = directory / name
        program.write_text(
            "#!/bin/sh\necho -15 > /proc/self/autogroup\n"
            f'exec {shutil.which(name)} "$@"\n'
        )
        program.chmod(0o755)
    return f"{directory}:{path}"


def favour(pid: int | str) -> None:
    """Do so for a session that was started since. sched(7), "The autogroup feature"."""
    if _favoured:
        Path(f"/proc/{pid}/autogroup").write_text("-15")
