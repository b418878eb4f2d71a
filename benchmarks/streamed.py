"""Streamed layers beside packed ones: which of them should be the default.

Cold from a name to a manifest, warm blobs and whole images over loopback, whole pulls
by the engines, and what both take of the disk. Alternating, from the same store paths.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.inputs import Inputs
from benchmarks.measure import OURS, Result, alternate, favour
from benchmarks.pulls import pull_by_docker, pull_by_podman
from benchmarks.servers import ask_in_time, forget, nixeryd, peak_memory
from benchmarks.serving import receive, take
from tests.e2e.engines import docker_engine, podman_engine
from tests.e2e.serving import Daemon

_STREAMED: Final = f"{OURS}, streamed"
_PACKED: Final = f"{OURS}, packed"
_LAYERS: Final = {_STREAMED: "stream", _PACKED: "pack"}
_IMAGES: Final = {
    "closure900": "900 MB, 257 paths",
    "closure100": "90 MB, 61 paths",
    "files20000": "20,000 files of a few bytes",
}


def measure(place: Path, inputs: Inputs, runs: int) -> list[Result]:
    results = _measure_cold(place, inputs, runs)
    with ExitStack() as stack:
        daemons = {
            who: stack.enter_context(
                nixeryd(place / f"warm-{layers}", inputs, "none", layers)
            )
            for who, layers in _LAYERS.items()
        }
        for daemon in daemons.values():
            for image in (*_IMAGES, "gigabyte"):
                ask_in_time(daemon, image)
        results += _measure_warm(daemons, runs)
        results += _measure_pulls(daemons, runs)
        peaks = {who: [peak_memory(daemon)] for who, daemon in daemons.items()}
    memory = "peak of the daemon's resident memory, warm"
    return [*results, Result(memory, "MB", peaks, ours=_STREAMED)]


def _measure_cold(place: Path, inputs: Inputs, runs: int) -> list[Result]:
    disk: dict[str, list[float]] = {who: [] for who in _LAYERS}
    where = place / "cold"

    def cold(image: str, who: str) -> float:
        forget(where)
        with nixeryd(where, inputs, "none", _LAYERS[who]) as daemon:
            seconds = ask_in_time(daemon, image)
            if image == "closure900":
                disk[who].append(_disk(daemon))
        forget(where)
        return seconds

    results = [
        alternate(
            f"cold: {what}",
            "s",
            {who: partial(cold, image, who) for who in _LAYERS},
            runs,
            ours=_STREAMED,
        )
        for image, what in _IMAGES.items()
    ]
    taken = Result("disk that the blobs of 900 MB take", "MB", disk, ours=_STREAMED)
    return [*results, taken]


def _disk(daemon: Daemon) -> float:
    files = (path for path in (daemon.data / "blobs").rglob("*") if path.is_file())
    return sum(file.stat().st_blocks * 512 for file in files) / 1e6


def _measure_warm(daemons: Mapping[str, Daemon], runs: int) -> list[Result]:
    def one(daemon: Daemon, clients: int) -> Callable[[], float]:
        layers = daemon.manifest("gigabyte").json["layers"]
        layer = max(layers, key=lambda layer: layer["size"])
        path = f"/v2/gigabyte/blobs/{layer['digest']}"
        return lambda: receive(daemon, path, layer["size"], clients)

    results = [
        alternate(
            f"warm blob, 1 GB, {clients} client{'s' * (clients > 1)}",
            "MB/s",
            {who: one(daemon, clients) for who, daemon in daemons.items()},
            runs,
            more_is_better=True,
            ours=_STREAMED,
        )
        for clients in (1, 8)
    ]
    results += [
        alternate(
            f"all layers one by one, {what}",
            "MB/s",
            {who: partial(_take_all, daemon, image) for who, daemon in daemons.items()},
            runs,
            more_is_better=True,
            ours=_STREAMED,
        )
        for image, what in _IMAGES.items()
    ]
    return results


def _take_all(daemon: Daemon, image: str) -> float:
    layers = daemon.manifest(image).json["layers"]
    start = time.perf_counter()
    taken = [take(daemon, f"/v2/{image}/blobs/{one['digest']}") for one in layers]
    seconds = time.perf_counter() - start
    assert taken == [one["size"] for one in layers]
    return sum(taken) / seconds / 1e6


def _measure_pulls(daemons: Mapping[str, Daemon], runs: int) -> list[Result]:
    with docker_engine() as docker, podman_engine() as podman:
        endpoint = Path(docker.environ["DOCKER_HOST"].removeprefix("unix://"))
        favour(endpoint.with_name("pid").read_text())
        pulls = {
            "docker": partial(pull_by_docker, docker),
            "podman": partial(pull_by_podman, podman),
        }
        return [
            alternate(
                f"{engine} pull, 900 MB, manifest and layers warm",
                "s",
                {who: pull(daemon) for who, daemon in daemons.items()},
                runs,
                ours=_STREAMED,
            )
            for engine, pull in pulls.items()
        ]
