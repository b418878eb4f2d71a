"""Whole pulls: the real dockerd and podman, each with a state of its own."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.inputs import Inputs
from benchmarks.measure import OURS, Result, alternate, favour
from benchmarks.servers import ask_in_time, copy_image, docker_registry, nixeryd
from tests.e2e.engines import Docker, Podman, docker_engine, podman_engine
from tests.e2e.registry import Registry

_IMAGE = "closure900"
_ZSTD_SINCE = 23  # Docker's major version


def measure(place: Path, inputs: Inputs, runs: int) -> list[Result]:
    results = []
    with (
        docker_engine() as docker,
        podman_engine() as podman,
        docker_registry(place / "registry-gzip") as peer,
        ExitStack() as stack,
    ):
        endpoint = Path(docker.environ["DOCKER_HOST"].removeprefix("unix://"))
        favour(endpoint.with_name("pid").read_text())
        daemons = {}
        for compression in ("none", "gzip", "zstd"):
            where = place / f"warm-{compression}"
            daemon = stack.enter_context(nixeryd(where, inputs, compression))
            ask_in_time(daemon, _IMAGE)
            name = OURS if compression == "none" else f"{OURS}, {compression}"
            daemons[name] = daemon
        copy_image(daemons[f"{OURS}, gzip"], peer, _IMAGE)
        version = docker("version", "--format", "{{.Server.Version}}").stdout
        is_old = int(version.partition(".")[0]) < _ZSTD_SINCE
        everybody = {**daemons, "docker-registry, gzip": peer}
        for engine, pull in (("docker", pull_by_docker), ("podman", pull_by_podman)):
            client = docker if engine == "docker" else podman
            contenders = {
                who: pull(client, one)
                for who, one in everybody.items()
                if not (who.endswith("zstd") and client is docker and is_old)
            }
            what = f"{engine} pull, 900 MB, manifest and layers warm"
            results.append(alternate(what, "s", contenders, runs))
    return results


def pull_by_docker(docker: Docker, registry: Registry) -> Callable[[], float]:
    def run() -> float:
        image = f"{registry.address}/{_IMAGE}"
        start = time.perf_counter()
        done = docker("pull", "--quiet", image)
        seconds = time.perf_counter() - start
        assert done.returncode == 0, done.stdout
        docker("rmi", image)
        return seconds

    return run


def pull_by_podman(podman: Podman, registry: Registry) -> Callable[[], float]:
    def run() -> float:
        image = f"{registry.address}/{_IMAGE}"
        start = time.perf_counter()
        done = podman("pull", "--quiet", "--tls-verify=false", image)
        seconds = time.perf_counter() - start
        assert done.returncode == 0, done.stdout
        podman("rmi", image)
        return seconds

    return run
