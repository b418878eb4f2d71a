"""Measure nixeryd and its peers, in alternating runs; print a table.

    python -m benchmarks [GROUP]... [--runs N] [--place DIR] [--json FILE] [--favour]

Groups: packing, cold, warm, pulls, streamed, thin, growth, start; all by default.
What they are made of is built once and kept in DIR. Needs Debian's packages
docker-registry, pigz, zstd and wrk; pulls, streamed and thin also docker.io and
podman, and root.
"""

import argparse
import platform
import sys
import time
from pathlib import Path

from benchmarks import (
    growth,
    inputs,
    measure,
    packing,
    pulls,
    serving,
    start,
    streamed,
    thin,
)


def main() -> None:
    arguments = _parse()
    place = arguments.place.expanduser()
    if arguments.favour:
        measure.favour_everything()
    made = inputs.prepare(place)
    groups = {
        "packing": lambda: packing.measure(place, made, arguments.runs),
        "cold": lambda: serving.measure_cold(place, made, arguments.runs),
        "warm": lambda: serving.measure_warm(place, made, arguments.runs),
        "pulls": lambda: pulls.measure(place, made, arguments.runs),
        "streamed": lambda: streamed.measure(place, made, arguments.runs),
        "thin": lambda: thin.measure(place, made, arguments.runs),
        "growth": lambda: growth.measure(place, made, arguments.runs),
        "start": lambda: start.measure(place, made, arguments.runs),
    }
    results = [
        result for name in arguments.groups or groups for result in groups[name]()
    ]
    about = {
        "date": time.strftime("%Y-%m-%d"),
        "command": " ".join(["python -m benchmarks", *sys.argv[1:]]),
        "machine": _machine(),
        "inputs": made.describe(),
    }
    print("\n".join(f"{name}: {text}" for name, text in about.items()), end="\n\n")
    print(measure.render(results))
    if arguments.json:
        measure.write_json(arguments.json, about, results)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choices = (
        "packing",
        "cold",
        "warm",
        "pulls",
        "streamed",
        "thin",
        "growth",
        "start",
    )
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(choices))
    parser.add_argument("--runs", type=int, default=5, metavar="N")
    parser.add_argument(
        "--place", type=Path, default=Path("~/.cache/nixeryd-benchmarks"), metavar="DIR"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument(
        "--favour",
        action="store_true",
        help="let what is measured go before other sessions (Linux, root)",
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.groups) - {*choices}:
        parser.error(f"no such group: {', '.join(unknown)}")
    return arguments


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [
        line.partition(": ")[2] for line in lines if line.startswith("model name")
    ]
    meminfo = Path("/proc/meminfo").read_text().split()
    memory = int(meminfo[1]) / 1e6
    return (
        f"{len(models)} x {models[0]}, {memory:.0f} GB,"
        f" {platform.system()} {platform.release()}"
    )


if __name__ == "__main__":
    main()
