"""Packing, against what hashing and compressing alone take."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.inputs import Inputs, environment
from benchmarks.measure import OURS, Result, alternate

_HASH = "xargs -a {list} -d '\\n' -P {cores} -n 500 {program} > {out}"
_TAR = "tar --hard-dereference -C / -cf - -T {list} 2> /dev/null | {program} > {out}"


def measure(place: Path, inputs: Inputs, runs: int) -> list[Result]:
    results = []
    peaks = []

    def ours(compression: str, image: str) -> Callable[[], float]:
        def run() -> float:
            seconds, peak = _pack(place, compression, inputs.roots[image])
            peaks.append(peak)
            return seconds

        return run

    def shell(command: str, program: str, image: str) -> Callable[[], float]:
        listing = _list(place, inputs, image, files=command is _HASH)
        words = {"list": listing, "cores": os.cpu_count(), "program": program}
        return lambda: _time(command.format(out=place / "out", **words))

    for what, compression, peers in (
        (
            "pack 900 MB, 257 paths",
            "none",
            {
                "`sha256sum`, all cores": (_HASH, "sha256sum"),
                "`openssl dgst`, all cores": (_HASH, "openssl dgst -sha256"),
            },
        ),
        (
            "the same with gzip",
            "gzip",
            {
                "`tar \\| gzip -6`": (_TAR, "gzip -6"),
                "`tar \\| pigz -6`": (_TAR, "pigz -6"),
            },
        ),
        (
            "the same with zstd",
            "zstd",
            {"`tar \\| zstd -3 -T0`": (_TAR, "zstd -3 -T0 -q")},
        ),
    ):
        contenders = {OURS: ours(compression, "closure900")}
        for name, (command, program) in peers.items():
            contenders[name] = shell(command, program, "closure900")
        results.append(alternate(what, "s", contenders, runs))
    contenders = {
        OURS: ours("none", "files20000"),
        "`tar \\| sha256sum`": shell(_TAR, "sha256sum", "files20000"),
    }
    results.append(alternate("pack 20,000 files of a few bytes", "s", contenders, runs))
    results.append(Result("peak of resident memory while packing", "MB", {OURS: peaks}))
    return results


def _pack(place: Path, compression: str, root: str) -> tuple[float, float]:
    """Return the seconds, and the peak of resident memory in MB."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.pack", str(place), compression, root],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    answer, _ = process.communicate("go\n")
    seconds, _, peak = answer.split()
    return float(seconds), int(peak) / 1000


def _time(command: str) -> float:
    start = time.perf_counter()
    subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True)
    return time.perf_counter() - start


def _list(place: Path, inputs: Inputs, image: str, *, files: bool) -> Path:
    """Write the names of an image's store paths, or of the files in them."""
    names = inputs.closures[image]
    if files:
        found = (
            Path(directory, name)
            for path in names
            for directory, _, entries in os.walk(path)
            for name in entries
        )
        names = tuple(str(file) for file in found if not file.is_symlink())
    listing = place / f"{image}.{'files' if files else 'paths'}"
    listing.write_text("".join(f"{name}\n" for name in names))
    return listing
