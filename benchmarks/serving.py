"""Cold and warm: from a name to a manifest, manifests per second, blobs."""

import http.client
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from benchmarks.inputs import Inputs
from benchmarks.measure import OURS, Result, alternate
from benchmarks.servers import (
    ask_in_time,
    copy_image,
    docker_registry,
    forget,
    nixeryd,
    peak_memory,
    wrk,
)
from tests.e2e.registry import Registry

_PEER = "docker-registry"
_PIECE = 1 << 20


def measure_cold(place: Path, inputs: Inputs, runs: int) -> list[Result]:
    peaks = []

    def cold(image: str) -> Callable[[], float]:
        def run() -> float:
            forget(place / "cold")
            with nixeryd(place / "cold", inputs, "none") as daemon:
                seconds = ask_in_time(daemon, image)
                peaks.append(peak_memory(daemon))
            forget(place / "cold")
            return seconds

        return run

    def disk(megabytes: int) -> Callable[[], float]:
        return lambda: _write(place / "written", megabytes)

    return [
        alternate(
            f"cold: {size} MB, {paths} paths",
            "s",
            {OURS: cold(image), f"`dd conv=fsync`, {size} MB": disk(size)},
            runs,
        )
        for image, size, paths in (("closure900", 900, 257), ("closure100", 90, 61))
    ] + [
        Result("peak of the daemon's resident memory, cold", "MB", {OURS: peaks}),
    ]


def _write(file: Path, megabytes: int) -> float:
    """Return the seconds that the disk takes to write so much and have it safe."""
    os.sync()
    command = ["dd", "if=/dev/zero", f"of={file}", "bs=1MB", f"count={megabytes}"]
    start = time.perf_counter()
    subprocess.run([*command, "conv=fsync"], check=True, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    file.unlink()
    os.sync()  # or the next would pay for giving it up
    return seconds


def measure_warm(place: Path, inputs: Inputs, runs: int) -> list[Result]:
    with (
        nixeryd(place / "warm", inputs, "none") as ours,
        docker_registry(place / "registry") as peer,
    ):
        for image in ("closure900", "gigabyte"):
            ask_in_time(ours, image)
            copy_image(ours, peer, image)
        results = _manifests(ours, peer, runs) + _blobs(ours, peer, runs)
        peak = Result(
            "peak of the daemon's resident memory, warm",
            "MB",
            {OURS: [peak_memory(ours)]},
        )
        return [*results, peak]


def _manifests(ours: Registry, peer: Registry, runs: int) -> list[Result]:
    path = "/v2/closure900/manifests/latest"

    def median(registry: Registry) -> Callable[[], float]:
        return lambda: wrk(registry, path, 1)[1]

    def rate(registry: Registry) -> Callable[[], float]:
        return lambda: wrk(registry, path, 16)[0]

    return [
        alternate(
            "warm manifest by tag, 1 client: median",
            "ms",
            {OURS: median(ours), _PEER: median(peer)},
            runs,
        ),
        alternate(
            "warm manifest by tag, 16 clients",
            "/s",
            {OURS: rate(ours), _PEER: rate(peer)},
            runs,
            more_is_better=True,
        ),
    ]


def _blobs(ours: Registry, peer: Registry, runs: int) -> list[Result]:
    layers = ours.manifest("gigabyte").json["layers"]
    layer = max(layers, key=lambda layer: layer["size"])
    path = f"/v2/gigabyte/blobs/{layer['digest']}"

    def rate(registry: Registry, clients: int) -> Callable[[], float]:
        return lambda: receive(registry, path, layer["size"], clients)

    return [
        alternate(
            f"warm blob, 1 GB, {clients} client{'s' * (clients > 1)}",
            "MB/s",
            {OURS: rate(ours, clients), _PEER: rate(peer, clients)},
            runs,
            more_is_better=True,
        )
        for clients in (1, 8)
    ]


def receive(registry: Registry, path: str, size: int, clients: int) -> float:
    """Let clients take a blob each, all at once; give MB/s for all together."""
    taken = []
    threads = [
        threading.Thread(target=lambda: taken.append(take(registry, path)))
        for _ in range(clients)
    ]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - start
    assert taken == [size] * clients, taken
    return clients * size / seconds / 1e6


def take(registry: Registry, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", registry.port)
    with closing(connection):
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.request("GET", path)
        response = connection.getresponse()
        buffer = bytearray(_PIECE)
        taken = 0
        while count := response.readinto(buffer):
            taken += count
        return taken
