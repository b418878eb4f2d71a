"""From `nixeryd serve` to ready, and what it weighs when it has nothing to do.

Ready is when systemd is told so: every socket accepts, and what is asked is answered.
"""

import os
import re
import socket
import time
from pathlib import Path
from typing import Final

from benchmarks.inputs import NIX_CONFIG, Inputs
from benchmarks.measure import OURS, Result, alternate, favour
from tests.e2e.serving import start

GOAL_START: Final = 0.7  # seconds
GOAL_MEMORY: Final = 70  # MB

_SETTLED = 2.0  # seconds after which nothing of the start is left


def measure(place: Path, inputs: Inputs, runs: int) -> list[Result]:
    """Start a daemon again and again on a data directory that is there already."""
    _start(place / "start", inputs)  # compiles, and makes the data directory
    measured = [_start(place / "start", inputs) for _ in range(runs)]
    starts, processors, memories = (
        iter(column) for column in zip(*measured, strict=True)
    )
    return [
        alternate(
            f"start to ready (goal {GOAL_START} s)",
            "s",
            {OURS: lambda: next(starts)},
            runs,
        ),
        alternate(
            "processor time of that, children too",
            "s",
            {OURS: lambda: next(processors)},
            runs,
        ),
        alternate(
            f"idle resident memory (goal {GOAL_MEMORY} MB)",
            "MB",
            {OURS: lambda: next(memories)},
            runs,
        ),
    ]


def _start(place: Path, inputs: Inputs) -> tuple[float, float, float]:
    place.mkdir(parents=True, exist_ok=True)
    address = place / "notify"
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(address))
        systemd.settimeout(60)
        began = time.monotonic()
        process = start(
            place,
            "--nixpkgs",
            inputs.source,
            environ={"NIX_CONFIG": NIX_CONFIG, "NOTIFY_SOCKET": str(address)},
        )
        favour(process.pid)
        try:
            while not systemd.recv(4096).startswith(b"READY=1"):
                pass
            ready = time.monotonic() - began
            ticks = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2]
            used = sum(map(int, ticks.split()[11:15])) / os.sysconf("SC_CLK_TCK")
            time.sleep(_SETTLED)
            status = Path(f"/proc/{process.pid}/status").read_text()
            memory = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000
        finally:
            process.end()
    return ready, used, memory
