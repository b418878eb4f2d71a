"""Real container engines, each with a state of its own that it takes along.

Sockets have short paths (the kernel's limit is 108 bytes), so everything is in
a directory made by `tempfile`, not in pytest's.
"""

import json
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.processes import Process, environment, run, unmount_below

# Small limits of its own: containers must not depend on those of this machine.
CONFINED = (
    "--network=none",
    "--ulimit=nofile=1024:1024",
    "--ulimit=nproc=1024:1024",
)


@contextmanager
def _place(engine: str) -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix=f"e2e-{engine}-"))
    try:
        yield place
    finally:
        unmount_below(place)
        shutil.rmtree(place)


@dataclass(frozen=True, slots=True)
class Docker:
    """The docker client, talking to an engine of its own."""

    environ: dict[str, str]

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run(["docker", *words], self.environ)

    def run(
        self, image: str, *words: str, options: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        return self("run", "--rm", *CONFINED, *options, image, *words)


@contextmanager
def docker_engine(
    settings: Mapping[str, object] | None = None, prefix: Sequence[str] = ()
) -> Iterator[Docker]:
    """Start dockerd, wait until it answers, and clean up after it.

    `settings` are its daemon.json; `prefix` is a command that starts it.
    """
    with _place("docker") as place:
        endpoint = place / "docker.sock"
        # This machine's is not ours.
        (place / "daemon.json").write_text(json.dumps(settings or {}))
        dockerd = Process(
            [
                *prefix,
                "dockerd",
                f"--data-root={place / 'data'}",
                f"--exec-root={place / 'exec'}",
                f"--pidfile={place / 'pid'}",
                f"--host=unix://{endpoint}",
                f"--config-file={place / 'daemon.json'}",
                "--bridge=none",
                "--iptables=false",
            ],
            environment(PATH=_with_sbin()),
        )
        try:
            dockerd.wait_until(lambda: _answers(endpoint))
            yield Docker(
                environment(
                    DOCKER_HOST=f"unix://{endpoint}",
                    DOCKER_CONFIG=str(place / "client"),
                    DOCKER_CONTEXT=None,
                    DOCKER_TLS_VERIFY=None,
                )
            )
        finally:
            dockerd.end()


def _answers(endpoint: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(endpoint))
            client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 OK" in client.recv(100)
        except OSError:
            return False


def _with_sbin() -> str:
    return f"{environment().get('PATH', '')}:/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Podman:
    """podman with stores of its own; it has no daemon."""

    place: Path

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run([*self.program, *words], self.environ)

    @property
    def program(self) -> tuple[str, ...]:
        """What to type instead of `podman`."""
        return (
            "podman",
            f"--root={self.place / 'root'}",
            f"--runroot={self.place / 'run'}",
            f"--tmpdir={self.place / 'tmp'}",
            "--cgroup-manager=cgroupfs",
            "--events-backend=file",
            "--runtime=runc",
        )

    @property
    def environ(self) -> dict[str, str]:
        return environment(
            CONTAINERS_CONF=str(self.place / "containers.conf"),
            CONTAINERS_REGISTRIES_CONF=str(self.place / "registries.conf"),
            CONTAINERS_STORAGE_CONF=str(self.place / "storage.conf"),
            PODMAN_IGNORE_CGROUPSV1_WARNING="1",  # from podman 5 on, among what it says
            PATH=_with_sbin(),
        )

    def run(
        self, image: str, *words: str, options: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        flags = ("--rm", "--tls-verify=false", *CONFINED)
        return self("run", *flags, *options, image, *words)


@contextmanager
def podman_engine(registries: str = "") -> Iterator[Podman]:
    """Prepare podman's stores, and remove them with all that is in them.

    `registries` is its registries.conf.
    """
    with _place("podman") as place:
        # Its locks would otherwise be in shared memory, common to all podmans.
        (place / "containers.conf").write_text('[engine]\nlock_type = "file"\n')
        (place / "storage.conf").write_text(
            '[storage]\ndriver = "overlay"\n'
            f'graphroot = "{place / "root"}"\nrunroot = "{place / "run"}"\n'
        )
        (place / "registries.conf").write_text(registries)
        podman = Podman(place)
        try:
            yield podman
        finally:
            podman("rm", "--all", "--force")


@dataclass(frozen=True, slots=True)
class Skopeo:
    """skopeo, which copies images between places."""

    def __call__(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return run(["skopeo", "--insecure-policy", *words])

    def copy_to_layout(self, image: str, layout: Path) -> None:
        """Copy an image of a plain-HTTP registry, as it is, into an OCI layout."""
        # By itself skopeo compresses what is not compressed.
        flags = ("--preserve-digests", "--src-tls-verify=false")
        copied = self("copy", *flags, f"docker://{image}", f"oci:{layout}")
        assert copied.returncode == 0, copied.stdout
