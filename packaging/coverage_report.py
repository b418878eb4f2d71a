"""What was covered, a line for each package; the least that some must reach.

Usage: packaging/coverage_report.py FILE, of `coverage json`. Exits with 1 if too
few branches were taken.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Final

# Of branches, in per cent. The others count in the whole.
LEAST: Final = {"store": 95, "mirror": 95, "builder": 95, "all": 90}


def percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 100.0


def package(file: str) -> str:
    """Name the package of nixeryd/PACKAGE/…; modules beside them are `(top)`."""
    return "(top)" if file.count("/") == 1 else file.split("/")[1]


def count(report: Path) -> dict[str, Counter[str]]:
    """Add up what was measured, by package."""
    counts: dict[str, Counter[str]] = {}
    for file, measured in json.loads(report.read_text())["files"].items():
        numbers = {
            key: value
            for key, value in measured["summary"].items()
            if isinstance(value, int)
        }
        for name in (package(file), "all"):
            counts.setdefault(name, Counter()).update(numbers)
    return counts


def main() -> int:
    counts = count(Path(sys.argv[1]))
    failed = False
    print(f"\n{'package':12} {'lines':>14} {'branches':>14}")
    for name in sorted(counts, key=lambda name: (name == "all", name)):
        of = counts[name]
        lines = percent(of["covered_lines"], of["num_statements"])
        branches = percent(of["covered_branches"], of["num_branches"])
        least = LEAST.get(name, 0)
        verdict = f"  less than {least} %" if branches < least else ""
        failed |= bool(verdict)
        print(
            f"{name:12} {lines:5.1f} % of {of['num_statements']:5}"
            f" {branches:5.1f} % of {of['num_branches']:5}{verdict}"
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
