"""Growth: an index of 10,000 images, a closure of 5,000 paths, the command line."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import OURS, Result, alternate
from nixeryd.images.closures import PathInfo
from nixeryd.images.digests import Digest
from nixeryd.images.layering import plan_layers
from nixeryd.images.manifests import LayerDescriptor
from nixeryd.store.index import Index, StoredManifest, open_index

_IMAGES = 10_000
_LAYERS = 100_000
_PATHS = 5_000


def measure(place: Path, runs: int) -> list[Result]:
    with (
        TemporaryDirectory(dir=place) as directory,
        open_index(Path(directory) / "index.sqlite") as index,
    ):
        keys = _fill(index)
        results = [
            alternate(
                f"look up {what} among {_IMAGES:,} images, {_LAYERS:,} layers",
                "ms",
                {OURS: look_up},
                runs,
            )
            for what, look_up in (
                ("a build", _each(index.build, keys[:_IMAGES])),
                ("a layer", _each(index.layer, keys)),
            )
        ]
    return [
        *results,
        alternate(f"group {_PATHS:,} paths", "s", {OURS: _group()}, runs),
        alternate("`nixeryd --version`", "s", {OURS: _version}, runs),
    ]


def _fill(index: Index) -> list[str]:
    digests = [Digest.of(b"%d" % number) for number in range(_LAYERS)]
    for digest in digests:
        layer = LayerDescriptor(digest, digest, 1, "")
        index.add_layer(digest.hex, layer, (f"/nix/store/{digest.hex}",))
    rng = random.Random(1)
    for digest in digests[:_IMAGES]:
        blobs = tuple(rng.sample(digests, 90))
        index.add_build(digest.hex, StoredManifest(digest, "", blobs, 1))
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
