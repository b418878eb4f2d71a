"""Thin images beside ordinary ones: pulls, and from a name to a running container.

The closure is the same, and each engine has a state of its own. A pull finds the
image built; a run begins with a daemon that has built nothing, and store paths
that are there: it evaluates, packs, pulls and starts a program.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.inputs import Inputs
from benchmarks.measure import OURS, Result, alternate
from benchmarks.servers import ask_in_time, forget, nixeryd
from tests.e2e.engines import Docker, Podman, docker_engine, podman_engine

_IMAGES = ("closure900", "closure100")
_MOUNT = ("--volume=/nix/store:/nix/store:ro",)
_THIN = f"{OURS}, thin"

_Engine = Docker | Podman


def measure(place: Path, inputs: Inputs, runs: int) -> list[Result]:
    results = []
    with docker_engine() as docker, podman_engine() as podman:
        for name, engine in (("docker", docker), ("podman", podman)):
            for image in _IMAGES:
                results += [
                    _measure_pulls(name, engine, image, place, inputs, runs),
                    _measure_runs(name, engine, image, place, inputs, runs),
                ]
    return results


def _measure_pulls(  # noqa: PLR0913, PLR0917  what is measured
    name: str, engine: _Engine, image: str, place: Path, inputs: Inputs, runs: int
) -> Result:
    with ExitStack() as stack:
        contenders = {}
        for who, compression, repository in _contenders(image):
            where = place / f"warm-{compression}"
            if who == _THIN:
                where = place / "warm-thin"  # one daemon has one data directory
            daemon = stack.enter_context(nixeryd(where, inputs, compression))
            ask_in_time(daemon, repository)
            contenders[who] = partial(_pull, engine, f"{daemon.address}/{repository}")
        what = f"{name} pull, {_describe(image, inputs)}, built before"
        return alternate(what, "s", contenders, runs, ours=_THIN)


def _measure_runs(  # noqa: PLR0913, PLR0917  what is measured
    name: str, engine: _Engine, image: str, place: Path, inputs: Inputs, runs: int
) -> Result:
    loader = _loader(inputs.closures[image])

    def run(compression: str, repository: str) -> float:
        where = place / "cold-thin"
        forget(where)
        with nixeryd(where, inputs, compression) as daemon:
            whole = f"{daemon.address}/{repository}"
            options = _MOUNT if repository.startswith("thin/") else ()
            start = time.perf_counter()
            done = engine.run(whole, loader, "--version", options=options)
            seconds = time.perf_counter() - start
            assert "ld.so" in done.stdout, done.stdout
            engine("rmi", whole)
        return seconds

    contenders = {
        who: partial(run, compression, repository)
        for who, compression, repository in _contenders(image)
    }
    what = f"{name} run, {_describe(image, inputs)}, from its name"
    return alternate(what, "s", contenders, runs, ours=_THIN)


def _contenders(image: str) -> list[tuple[str, str, str]]:
    return [
        (_THIN, "none", f"thin/{image}"),
        (OURS, "none", image),
        (f"{OURS}, gzip", "gzip", image),
    ]


def _describe(image: str, inputs: Inputs) -> str:
    size = "900 MB" if image == "closure900" else "90 MB"
    return f"{size}, {len(inputs.closures[image])} paths"


def _loader(closure: Sequence[str]) -> str:
    """Find a program of the closure that needs nothing else: the dynamic loader."""
    found = (
        file
        for path in closure
        for file in sorted(Path(path).glob("usr/lib/*/ld-linux-*.so.*"))
    )
    return str(next(found))


def _pull(engine: _Engine, image: str) -> float:
    flags = ("--tls-verify=false",) if isinstance(engine, Podman) else ()
    start = time.perf_counter()
    done = engine("pull", "--quiet", *flags, image)
    seconds = time.perf_counter() - start
    assert done.returncode == 0, done.stdout
    engine("rmi", image)
    return seconds
