"""What engines do with a mirror's refusals, when their Docker Hub has such an image.

The Hub is a registry of ours under its real name: each engine runs with an /etc/hosts
and a certificate authority of its own. It has everything that is asked for here, so
what an engine gets shows whether it went on to the Hub.
"""

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from tests.e2e.conftest import need
from tests.e2e.engines import Docker, Podman, Skopeo, docker_engine, podman_engine
from tests.e2e.processes import Process, environment, run
from tests.e2e.serving import ODD, PACKAGES, Daemon, serving
from tests.upstream.registries import make_image, run_registry

HUB = "registry-1.docker.io"
ADDRESS = "127.9.9.9"  # with a port 443 that nobody else has
SETTINGS = """\
source = "odd"
[sources.odd]
path = "{packages}"
[upstreams."docker.io"]
url = "http://127.0.0.1:9"
"""
MIRRORS = """\
[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "{mirror}"
insecure = true
"""
HOSTS = """\
server = "https://{hub}"
[host."http://{mirror}"]
capabilities = ["pull", "resolve"]
"""
OURS = {"nix/breaks": "the last line before", "nix/no-such": "no-such"}
THEIRS = "library/theirs"


@dataclass(frozen=True)
class UpstreamRepository:
    """A daemon, and how to start an engine that finds the Hub."""

    daemon: Daemon
    prefix: tuple[str, ...]

    @property
    def mirror(self) -> str:
        return f"127.0.0.1:{self.daemon.mirror.port}"


def layer() -> bytes:
    """Make a layer that engines unpack."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("a-strangers-file"))
    return file.getvalue()


@contextmanager
def hub(place: Path) -> Iterator[tuple[str, ...]]:
    """Serve every image as the Hub; gives a prefix for who should find it."""
    with run_registry(place) as registry:
        for repository in (*OURS, THEIRS):
            registry.push(make_image(repository, [layer()]), "latest")
    authority = trustme.CA()
    certificate = authority.issue_cert(HUB)
    chain, key, trusted = (place / name for name in ("chain", "key", "trusted"))
    certificate.cert_chain_pems[0].write_to_path(chain)
    certificate.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(trusted)
    settings: dict[str, object] = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(place / "data")}},
        "http": {
            "addr": f"{ADDRESS}:443",
            "tls": {"certificate": str(chain), "key": str(key)},
        },
    }
    config = place / "hub.yml"
    config.write_text(json.dumps(settings))
    names = place / "hosts"
    names.write_text(f"127.0.0.1 localhost\n{ADDRESS} {HUB}\n")
    script = (
        f'mount --bind {names} /etc/hosts; export SSL_CERT_FILE={trusted}; exec "$@"'
    )
    process = Process(["docker-registry", "serve", config])
    try:
        process.wait_for_line("listening on")
        yield ("unshare", "--mount", "sh", "-euc", script, "sh")
    finally:
        process.end()


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[UpstreamRepository]:
    need("nix-instantiate", "docker-registry", "unshare", root=True)
    directory = tmp_path_factory.mktemp("strangers")
    config = directory / "config.toml"
    config.write_text(SETTINGS.format(packages=PACKAGES))
    with (
        hub(tmp_path_factory.mktemp("hub")) as prefix,
        serving(directory, f"--config={config}", environ=ODD) as daemon,
    ):
        yield UpstreamRepository(daemon, prefix)


def told(words: list[str], environ: Mapping[str, str]) -> tuple[bool, str]:
    ended = run(words, environ)
    return ended.returncode == 0, ended.stdout


@pytest.fixture(scope="module")
def pull_with_docker(place: UpstreamRepository):
    need("dockerd", "docker", "runc", root=True)
    mirrors = {"registry-mirrors": [f"http://{place.mirror}"]}
    with docker_engine(mirrors, prefix=place.prefix) as docker:
        yield lambda image: told(["docker", "pull", image], docker.environ)


@pytest.fixture(scope="module")
def pull_with_podman(place: UpstreamRepository):
    need("podman", "runc", root=True)
    with podman_engine(MIRRORS.format(mirror=place.mirror)) as podman:
        program = [*place.prefix, *podman.program, "pull"]
        yield lambda image: told([*program, f"docker.io/{image}"], podman.environ)


@pytest.fixture(scope="module")
def pull_with_containerd(place: UpstreamRepository, tmp_path_factory):
    need("containerd", "ctr", root=True)
    directory = tmp_path_factory.mktemp("containerd")
    hosts = directory / "hosts" / "docker.io"
    hosts.mkdir(parents=True)
    (hosts / "hosts.toml").write_text(HOSTS.format(hub=HUB, mirror=place.mirror))
    config = directory / "config.toml"
    config.write_text(
        'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'root = "{directory / "root"}"\nstate = "{directory / "state"}"\n'
        f'[grpc]\naddress = "{directory / "socket"}"\n'
    )
    process = Process(["containerd", f"--config={config}"], environment())
    try:
        process.wait_for_line("containerd successfully booted")
        words = [*place.prefix, "ctr", f"--address={directory / 'socket'}"]
        words += ["content", "fetch", f"--hosts-dir={hosts.parent}"]
        yield lambda image: told([*words, f"docker.io/{image}:latest"], environment())
    finally:
        process.end()


PULLS = ["pull_with_docker", "pull_with_podman", "pull_with_containerd"]


@pytest.mark.parametrize("image", OURS)
@pytest.mark.parametrize("engine", PULLS)
def test_an_image_of_ours_never_becomes_a_strangers(request, engine, image):
    has_it, said = request.getfixturevalue(engine)(image)
    assert not has_it, said
    if engine != "pull_with_containerd":  # 1.6 says "not found", and no more
        assert OURS[image] in said


@pytest.mark.parametrize("engine", PULLS)
def test_what_cannot_be_had_here_now_is_had_from_the_hub(request, engine, place):
    missing = place.daemon.mirror.manifest(THEIRS)
    assert (missing.status, missing.code) == (403, "DENIED")
    has_it, said = request.getfixturevalue(engine)(THEIRS)
    assert has_it, said


def test_asked_directly_a_client_shows_why_it_cannot_be_had_now(
    place: UpstreamRepository, docker: Docker, podman: Podman, skopeo: Skopeo
):
    image = f"{place.daemon.address}/docker.io/{THEIRS}"
    for ended in (
        docker("pull", image),
        podman("pull", "--tls-verify=false", image),
        skopeo("inspect", "--tls-verify=false", f"docker://{image}"),
    ):
        assert ended.returncode != 0
        assert "docker.io: cannot be reached" in ended.stdout
