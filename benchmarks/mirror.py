"""Measure the mirror beside docker-registry's (distribution 2.8) in proxy mode.

    python -m benchmarks.mirror [--size 1000] [--rounds 3] [--memory]

Starts an upstream (docker-registry on loopback, counting what it is asked), the peer
and nixeryd in a temporary directory, and prints a table: eight clients that ask for
one new blob of --size MB, a warm blob, a warm manifest by digest. The clients are
curl, so that they cost both sides the same. With --memory, also what nixeryd has in
memory at most while it serves eight different blobs, cold and warm.

Needs docker-registry, curl and Nix, and some twenty times --size on the disk.
"""

import argparse
import hashlib
import http.client
import itertools
import json
import random
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.e2e.processes import Process
from tests.e2e.serving import Daemon, serving
from tests.upstream.registries import MANIFEST, digest_of, make_image

CLIENTS = 8
MB = 1_000_000
REPOSITORY = "library/bench"
_TIMES = "%{time_starttransfer} %{time_total}"


@dataclass
class Upstream:
    port: int
    process: Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fetches(self, digest: str) -> int:
        """Count the downloads of a blob, from its log."""
        lines = [line for line in self.process.lines if "response completed" in line]
        asked = f'"http.request.uri":"/v2/{REPOSITORY}/blobs/{digest}"'
        return sum('"http.request.method":"GET"' in x and asked in x for x in lines)

    def push(self, piece: bytes, times: int = 1) -> str:
        """Push a blob that is this piece again and again."""
        sha256 = hashlib.sha256()
        for _ in range(times):
            sha256.update(piece)
        digest = f"sha256:{sha256.hexdigest()}"
        with httpx.Client(base_url=self.url, timeout=600) as client:
            begun = client.post(f"/v2/{REPOSITORY}/blobs/uploads/")
            place = urlsplit(begun.headers["Location"])
            done = client.put(
                f"{place.path}?{place.query}&digest={digest}",
                content=itertools.repeat(piece, times),
                headers={"Content-Length": str(len(piece) * times)},
            )
            assert done.status_code == 201, done.text
        return digest

    def push_manifest(self) -> str:
        image = make_image(REPOSITORY, [b"layer"] * 8)
        for blob in (image.config, *image.layers):
            self.push(blob)
        with httpx.Client(base_url=self.url) as client:
            done = client.put(
                f"/v2/{REPOSITORY}/manifests/latest",
                content=image.manifest,
                headers={"Content-Type": MANIFEST},
            )
            assert done.status_code == 201
        return image.digest


@contextmanager
def run_docker_registry(place: Path, **settings: object) -> Iterator[Upstream]:
    place.mkdir()
    config = {
        "version": 0.1,
        "log": {"level": "info", "formatter": "json", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(place / "data")}},
        "http": {"addr": "127.0.0.1:0", "relativeurls": True, "secret": "of a test"},
        **settings,
    }
    file = place / "config.yml"
    file.write_text(json.dumps(config))  # JSON is YAML
    process = Process(["docker-registry", "serve", file])
    try:
        line = process.wait_for_line(r"listening on 127\.0\.0\.1:(\d+)")
        yield Upstream(int(line[1]), process)
    finally:
        process.end()


def curl(url: str) -> tuple[float, float]:
    """Download to nowhere; give the seconds to the first byte and to the last."""
    said = subprocess.run(
        ["curl", "-sS", "--fail", "-o", "/dev/null", "-w", _TIMES, url],
        check=True,
        capture_output=True,
        text=True,
    )
    first, last = map(float, said.stdout.split())
    return first, last


def open_flat_nursery(urls: Sequence[str]) -> tuple[list[float], float]:
    """Download all at once; give each first byte's time, and the time of all."""
    began = time.perf_counter()
    with ThreadPoolExecutor(len(urls)) as pool:
        times = list(pool.map(curl, urls))
    return [first for first, _ in times], time.perf_counter() - began


def manifest_p50(port: int, digest: str, count: int = 2000) -> float:
    """Ask on one connection again and again; give the median in seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    times = []
    for _ in range(count):
        began = time.perf_counter()
        path = f"/v2/{REPOSITORY}/manifests/{digest}"
        connection.request("GET", path, headers={"Accept": MANIFEST})
        answer = connection.getresponse()
        assert (answer.status, digest_of(answer.read())) == (200, digest)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def highest_memory(pid: int) -> float:
    """Return the most that was resident so far, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024 / MB


def blob_url(port: int, digest: str) -> str:
    return f"http://127.0.0.1:{port}/v2/{REPOSITORY}/blobs/{digest}"


class Bench:
    def __init__(self, upstream: Upstream, sides: dict[str, int], size: int) -> None:
        self.upstream = upstream
        self.sides = sides
        self.size = size
        self._random = random.Random(1)
        self.rows: dict[str, dict[str, list[float]]] = {}

    def note(self, row: str, side: str, value: float) -> None:
        self.rows.setdefault(row, {}).setdefault(side, []).append(value)

    def new_blob(self) -> str:
        return self.upstream.push(self._random.randbytes(MB), self.size // MB)

    def round(self) -> None:
        digest = self.new_blob()
        direct = min(curl(blob_url(self.upstream.port, digest))[0] for _ in range(3))
        before = self.upstream.fetches(digest)
        for side, port in self.sides.items():
            firsts, total = open_flat_nursery([blob_url(port, digest)] * CLIENTS)
            fetched = self.upstream.fetches(digest)
            self.note("upstream fetches of one new blob", side, fetched - before)
            self.note(f"{CLIENTS} clients, all have it, s", side, total)
            self.note("first byte, the first client, ms", side, min(firsts) * 1e3)
            self.note("… over a direct request, ms", side, (min(firsts) - direct) * 1e3)
            self.note("first byte, the last client, ms", side, max(firsts) * 1e3)
            before = fetched
        for port in self.sides.values():
            self.wait_until_kept(port, digest)
        for _ in range(10):
            for side, port in self.sides.items():
                _, seconds = curl(blob_url(port, digest))
                self.note("warm blob, MB/s", side, self.size / MB / seconds)
        for side, port in self.sides.items():
            _, total = open_flat_nursery([blob_url(port, digest)] * CLIENTS)
            rate = CLIENTS * self.size / MB / total
            self.note(f"warm blob, {CLIENTS} clients together, MB/s", side, rate)

    def wait_until_kept(self, port: int, digest: str) -> None:
        """Ask until the upstream is asked no more: the peer stores on the side."""
        before = -1
        while before != (before := self.upstream.fetches(digest)):
            curl(blob_url(port, digest))
            time.sleep(1)

    def manifests(self) -> None:
        digest = self.upstream.push_manifest()
        for port in self.sides.values():
            manifest_p50(port, digest, 100)
        for _ in range(3):
            for side, port in self.sides.items():
                row = "warm manifest by digest, p50, ms"
                self.note(row, side, manifest_p50(port, digest) * 1e3)

    def table(self) -> str:
        lines = ["| | " + " | ".join(self.sides) + " |", "| --- |" + " ---: |" * 2]
        for row, values in self.rows.items():
            cells = [f"{statistics.median(values[side]):.4g}" for side in self.sides]
            lines.append(f"| {row} | {' | '.join(cells)} |")
        return "\n".join(lines)


def measure_memory(bench: Bench, daemon: Daemon) -> None:
    urls = [blob_url(daemon.mirror.port, bench.new_blob()) for _ in range(CLIENTS)]
    began = highest_memory(daemon.process.pid)
    for state in ("cold", "warm"):
        _, total = open_flat_nursery(urls)
        most = highest_memory(daemon.process.pid)
        print(
            f"{CLIENTS} different blobs of {bench.size / MB:.0f} MB, {state}:"
            f" {total:.1f} s, at most {most:.0f} MB resident (before: {began:.0f})"
        )


def timed(what: Callable[[], None], name: str) -> None:
    began = time.perf_counter()
    what()
    print(f"({name}: {time.perf_counter() - began:.0f} s)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1000, help="of a blob, MB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    asked = parser.parse_args()
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(run_docker_registry(place / "upstream"))
        peer = stack.enter_context(
            run_docker_registry(place / "peer", proxy={"remoteurl": upstream.url})
        )
        config = place / "config.toml"
        config.write_text(f'[upstreams."docker.io"]\nurl = "{upstream.url}"\n')
        daemon = stack.enter_context(serving(place, f"--config={config}"))
        sides = {"nixeryd": daemon.mirror.port, "docker-registry 2.8": peer.port}
        bench = Bench(upstream, sides, asked.size * MB)
        for number in range(asked.rounds):
            timed(bench.round, f"round {number + 1}")
        timed(bench.manifests, "manifests")
        print(bench.table())
        if asked.memory:
            measure_memory(bench, daemon)


if __name__ == "__main__":
    main()
