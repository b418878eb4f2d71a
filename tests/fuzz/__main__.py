"""`python -m tests.fuzz`: what nobody should send, 100,000 times; prints its counts."""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from tests.fuzz.listeners import knock
from tests.fuzz.names import read_names
from tests.fuzz.screens import show_answers
from tests.fuzz.upstreams import meet_upstreams

# Of a hundred: requests, names and references, answers on a terminal, of upstreams.
_SHARES = (44, 40, 15, 1)


def fuzz(place: Path, seed: int, count: int, say=print) -> None:
    """Try them all; raises at the first that does what it may not."""
    requests, names, screens, answers = (count * share // 100 for share in _SHARES)
    begun = time.monotonic()
    statuses = knock(place, seed, requests)
    told = ", ".join(
        f"{number} x {status}" for status, number in sorted(statuses.items())
    )
    say(f"{requests} requests, {statuses.total()} answered: {told}")
    read_names(Random(seed), names)
    say(f"{names} names, references and headers read")
    show_answers(Random(seed), screens)
    say(f"{screens} answers shown on a terminal")
    taken = meet_upstreams(seed, answers)
    say(f"{taken} answers of upstreams met")
    seconds = time.monotonic() - begun
    say(f"seed {seed}, {seconds:.0f} s: no 5xx, no traceback, nothing left")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        Path(place).chmod(0o700)
        fuzz(Path(place), chosen.seed, chosen.count)
    return 0


if __name__ == "__main__":
    sys.exit(main())
