"""Growth: 10,000 images, 100,000 layers, a closure of 5,000 paths, the command line."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from benchmarks.inputs import Inputs
from benchmarks.measure import OURS, Result, alternate
from benchmarks.servers import nixeryd, peak_memory
from nixeryd.builder.layering import plan_layers
from nixeryd.cache.eviction import Evictor
from nixeryd.images.closures import PathInfo
from nixeryd.images.digests import Digest
from nixeryd.images.manifests import LayerDescriptor
from nixeryd.store.blobs import Blobs
from nixeryd.store.datadir import DataDir, open_data_dir
from nixeryd.store.index import Index, StoredManifest, open_index
from nixeryd.store.uses import Uses
from tests.e2e.registry import Registry
from tests.e2e.serving import data_dir

_AMONG = "among 10,000 images, 100,000 layers"
_IMAGES = 10_000
_LAYERS = 100_000
_PATHS = 5_000


def measure(place: Path, inputs: Inputs, runs: int) -> list[Result]:
    with TemporaryDirectory(dir=place) as directory:
        served = Path(directory)
        data_dir(served).mkdir()
        with (
            open_data_dir(data_dir(served)) as places,
            open_index(places.index) as index,
        ):
            keys = _fill(index, places)
            ours = Evictor(
                blobs := Blobs(places.blobs, places.staging),
                index,
                places.index,
                Uses(index, blobs.leases),
                cap=None,
            )
            results = [
                alternate(f"{what} {_AMONG}", unit, {OURS: run}, runs)
                for what, unit, run in (
                    ("look up a build", "ms", _each(index.build, keys[:_IMAGES])),
                    ("look up a layer", "ms", _each(index.layer, keys)),
                    ("plan an eviction of half", "s", partial(_plan, ours)),
                )
            ]
        results += _served(served, inputs, runs)
    return [
        *results,
        alternate(f"group {_PATHS:,} paths", "s", {OURS: _group()}, runs),
        alternate("`nixeryd --version`", "s", {OURS: _version}, runs),
    ]


def _served(place: Path, inputs: Inputs, runs: int) -> list[Result]:
    with nixeryd(place, inputs, "none") as daemon:
        return [
            *(
                alternate(f"{what} {_AMONG}", "s", {OURS: _get(daemon, path)}, runs)
                for what, path in (
                    ("the API's status", "/api/v1/status"),
                    ("the API's list", "/api/v1/images"),
                )
            ),
            Result(
                f"peak of the daemon's resident memory {_AMONG}",
                "MB",
                {OURS: [peak_memory(daemon)]},
            ),
        ]


def _get(daemon: Registry, path: str) -> Callable[[], float]:
    assert daemon.ask(path).status == 200  # the first imports the framework

    def run() -> float:
        start = time.perf_counter()
        assert daemon.ask(path).status == 200
        return time.perf_counter() - start

    return run


def _plan(evictor: Evictor) -> float:
    start = time.perf_counter()
    plan = trio.run(partial(evictor.evict, _LAYERS // 2, dry_run=True))
    assert plan.left <= _LAYERS // 2
    return time.perf_counter() - start


def _fill(index: Index, places: DataDir) -> list[str]:
    digests = [Digest.of(b"%d" % number) for number in range(_LAYERS)]
    blobs = Blobs(places.blobs, places.staging)
    index.names._db.execute("PRAGMA synchronous = OFF")  # noqa: SLF001  sooner made
    images = [Digest.of(b"image %d" % number) for number in range(_IMAGES)]
    for digest in (*digests, *images):
        path = blobs.path(digest)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    for digest in digests:
        layer = LayerDescriptor(digest, digest, 1, "")
        index.add_layer(digest.hex, layer, (f"/nix/store/{digest.hex}",))
    rng = random.Random(1)
    for number, digest in enumerate(images):
        name = f"package-{number}"
        needs = tuple(rng.sample(digests, 90))
        index.add_build(digests[number].hex, StoredManifest(digest, "", needs, 1))
        index.set_tag(name, "latest", name, digest, time.time())
    return [digest.hex for digest in digests]


def _each(look_up: Callable[[str], object], keys: list[str]) -> Callable[[], float]:
    """Look 1,000 up; give the milliseconds that one takes."""
    rng = random.Random(1)

    def run() -> float:
        wanted = rng.sample(keys, 1000)
        start = time.perf_counter()
        assert all(look_up(key) is not None for key in wanted)
        return time.perf_counter() - start

    return run


def _group() -> Callable[[], float]:
    """Make a closure shaped like a real one: most refer to few, some to many."""
    rng = random.Random(1)
    names = [f"/nix/store/{n:032}-package-{n}" for n in range(_PATHS)]
    closure = {}
    for number, name in enumerate(names):
        count = min(number, rng.choice((1, 3, 5, 10, 40)))
        references = {names[int(number * rng.random() ** 3)] for _ in range(count)}
        size = int(rng.paretovariate(0.8) * 10_000)
        info = PathInfo(name, size, tuple(sorted(references - {name})))
        closure[name] = info

    def run() -> float:
        start = time.perf_counter()
        plan_layers(closure, names[-20:], {})
        return time.perf_counter() - start

    return run


def _version() -> float:
    start = time.perf_counter()
    program = Path(sys.executable).with_name("nixeryd")
    subprocess.run([program, "--version"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start
