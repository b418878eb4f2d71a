"""`python -m tests.torture`: kill a daemon again and again; it must lose nothing."""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

import trio

from tests.torture.disk import why_not
from tests.torture.rounds import torture


def main() -> int:
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    if (reason := why_not()) is not None:
        print(f"no power cuts, only kills: {reason}")
    with tempfile.TemporaryDirectory(prefix="torture-") as place:
        run = partial(torture, Path(place), chosen.seed, chosen.rounds, say=_say)
        ledger, counts = trio.run(run)
    print(f"\nseed: {chosen.seed}, rounds: {ledger.rounds}, {counts}")
    for loss in ledger.losses[:20]:
        print(f"LOST {loss}")
    return 1 if ledger.losses or ledger.rounds < chosen.rounds else 0


def _say(line: str) -> None:
    end = "\r" if sys.stdout.isatty() else "\n"
    print(line, end=end, flush=True)


if __name__ == "__main__":
    sys.exit(main())
