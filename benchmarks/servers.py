"""What is measured, started: nixeryd, and Debian's docker-registry beside it."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.inputs import NIX_CONFIG, Inputs
from benchmarks.measure import favour, favoured_programs
from tests.e2e.engines import Skopeo
from tests.e2e.processes import Process
from tests.e2e.registry import MANIFEST_TYPE, Registry
from tests.e2e.serving import NIX_PROGRAMS, Daemon, serving

_REGISTRY = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {place}}}}}
http: {{addr: "127.0.0.1:0"}}
log: {{formatter: json, level: info, accesslog: {{disabled: true}}}}
"""


@contextmanager
def nixeryd(
    place: Path, inputs: Inputs, compression: str, layers: str = "pack"
) -> Iterator[Daemon]:
    """Serve from a data directory in `place`, kept; ready when it has looked around."""
    environ = {
        "NIX_CONFIG": NIX_CONFIG,
        "NIXERYD_CACHE_COMPRESSION": compression,
        "NIXERYD_CACHE_LAYERS": layers,
        "PATH": favoured_programs(place / "bin", NIX_PROGRAMS),
    }
    flags = ("--nixpkgs", inputs.source)
    with serving(place, *flags, environ=environ) as daemon:
        favour(daemon.process.pid)
        yield daemon


@contextmanager
def docker_registry(place: Path) -> Iterator[Registry]:
    place.mkdir(parents=True, exist_ok=True)
    config = place / "config.yml"
    config.write_text(_REGISTRY.format(place=place / "data"))
    process = Process(["docker-registry", "serve", config])
    favour(process.pid)
    try:
        line = process.wait_for_line("listening on")
        yield Registry(int(re.search(r"127\.0\.0\.1:(\d+)", line.string)[1]))
    finally:
        process.end()


def copy_image(source: Registry, to: Registry, image: str) -> None:
    done = Skopeo()(
        "copy",
        "--preserve-digests",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        f"docker://{source.address}/{image}",
        f"docker://{to.address}/{image}",
    )
    assert done.returncode == 0, done.stdout


def ask_in_time(registry: Registry, image: str) -> float:
    """Return the seconds from the request of a manifest to its last byte."""
    start = time.perf_counter()
    answer = registry.manifest(image)
    seconds = time.perf_counter() - start
    assert answer.status == 200, answer.body
    return seconds


def peak_memory(daemon: Daemon) -> float:
    """Return the peak of resident memory in MB, without that of Nix's processes."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1000


def forget(place: Path) -> None:
    """Remove what a daemon has built, and let the disk come to rest."""
    shutil.rmtree(place / "data", ignore_errors=True)
    os.sync()


def wrk(registry: Registry, path: str, connections: int) -> tuple[float, float]:
    """Ask as often as possible for 3 s; give requests/s and the median in ms."""
    done = subprocess.run(
        [
            "wrk",
            "-t1",
            f"-c{connections}",
            "-d3",
            "--latency",
            f"-HAccept: {MANIFEST_TYPE}",
            f"http://127.0.0.1:{registry.port}{path}",
        ],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    assert "Non-2xx" not in done, done
    number, unit = re.search(r"50%\s+([0-9.]+)(us|ms|s)", done).groups()
    median = float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
    return float(re.search(r"Requests/sec:\s+([0-9.]+)", done)[1]), median
