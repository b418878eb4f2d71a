"""Pull, stop the upstream, forget the image, pull again: with the clients people have.

The upstream is a real registry that plays Docker Hub and another one. Every tag is
checked at each pull (`ttl = 0`), so that what is served afterwards is served although
nobody could be asked.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import need
from tests.e2e.engines import Docker, Podman, Skopeo, docker_engine, podman_engine
from tests.e2e.layout import ARCHITECTURE, Layout, write_layout
from tests.e2e.registry import Registry
from tests.e2e.serving import Daemon, serving
from tests.e2e.test_engines import echo_and_its_libraries
from tests.upstream.registries import INDEX, DebianRegistry, run_registry

UPSTREAMS = """\
[cache]
ttl = 0
[upstreams."docker.io"]
url = "{url}"
[upstreams."quay.io"]
url = "{url}"
"""
REGISTRIES = """\
unqualified-search-registries = ["docker.io"]
[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "{mirror}"
insecure = true
[[registry]]
location = "quay.io"
[[registry.mirror]]
location = "{main}/quay.io"
insecure = true
"""


@dataclass
class Mirroring:
    """A daemon that mirrors a registry which can be stopped."""

    daemon: Daemon
    upstream: DebianRegistry
    place: Path

    def push(self, skopeo: Skopeo, repository: str, says: str) -> None:
        """Push an image whose program says this."""
        layout = self.place / repository.replace("/", "-")
        layout.mkdir()
        write_layout(layout, echo_and_its_libraries(), ["/bin/echo", says])
        name = f"docker://127.0.0.1:{self.upstream.port}/{repository}:latest"
        pushed = skopeo("copy", "--dest-tls-verify=false", f"oci:{layout}", name)
        assert pushed.returncode == 0, pushed.stdout

    def push_index(self, repository: str) -> None:
        """Push an index with the image for this machine, after one for another."""
        image = Registry(self.upstream.port).manifest(repository)
        entry = {
            "mediaType": image.headers["content-type"],
            "digest": image.digest,
            "size": len(image.body),
        }
        manifests = [
            {**entry, "platform": {"os": "linux", "architecture": architecture}}
            for architecture in ("s390x", ARCHITECTURE)
        ]
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
        body = json.dumps(index).encode()
        self.upstream.push_manifest(repository, "latest", body, INDEX)


@pytest.fixture
def mirroring(tmp_path: Path) -> Iterator[Mirroring]:
    need("nix-instantiate", "docker-registry")
    with run_registry(tmp_path) as upstream:
        config = tmp_path / "config.toml"
        config.write_text(UPSTREAMS.format(url=upstream.url))
        with serving(tmp_path, f"--config={config}") as daemon:
            yield Mirroring(daemon, upstream, tmp_path)


@pytest.fixture
def mirrored_docker(mirroring: Mirroring) -> Iterator[Docker]:
    need("dockerd", "docker", "runc", root=True)
    mirror = f"http://127.0.0.1:{mirroring.daemon.mirror.port}"
    with docker_engine({"registry-mirrors": [mirror]}) as engine:
        yield engine


@pytest.fixture
def mirrored_podman(mirroring: Mirroring) -> Iterator[Podman]:
    need("podman", "runc", root=True)
    registries = REGISTRIES.format(
        mirror=f"127.0.0.1:{mirroring.daemon.mirror.port}",
        main=f"127.0.0.1:{mirroring.daemon.port}",
    )
    with podman_engine(registries) as engine:
        yield engine


def runs(engine: Docker | Podman, image: str, says: str) -> None:
    ran = engine.run(image)
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.endswith(f"{says}\n")


def forget(engine: Docker | Podman, *images: str) -> None:
    removed = engine("rmi", "--force", *images)
    assert removed.returncode == 0, removed.stdout
    assert engine("images", "--quiet").stdout == ""


def test_docker_pulls_again_when_the_hub_is_gone(
    mirroring: Mirroring, mirrored_docker: Docker, skopeo: Skopeo
):
    images = {"library/says": "hub", "owner/app": "owner", "owner/index": "index"}
    for repository, says in images.items():
        mirroring.push(skopeo, repository, says)
    mirroring.push_index("owner/index")
    for image, says in images.items():
        runs(mirrored_docker, image.removeprefix("library/"), says)
    mirroring.upstream.stop()
    forget(mirrored_docker, "says", "owner/app", "owner/index")
    for image, says in images.items():
        runs(mirrored_docker, image.removeprefix("library/"), says)
    warning = mirroring.daemon.mirror.manifest("library/says").headers["warning"]
    assert "docker.io" in warning


def test_podman_pulls_again_when_both_registries_are_gone(
    mirroring: Mirroring, mirrored_podman: Podman, skopeo: Skopeo
):
    mirroring.push(skopeo, "library/says", "hub")
    mirroring.push(skopeo, "owner/app", "quay")
    images = {"docker.io/library/says": "hub", "quay.io/owner/app": "quay"}
    for image, says in images.items():
        runs(mirrored_podman, image, says)
    mirroring.upstream.stop()
    forget(mirrored_podman, *images)
    for image, says in images.items():
        runs(mirrored_podman, image, says)


def test_skopeo_copies_again_when_the_upstream_is_gone(
    mirroring: Mirroring, skopeo: Skopeo
):
    mirroring.push(skopeo, "owner/app", "hello")
    name = f"{mirroring.daemon.address}/quay.io/owner/app"
    for copy in ("first", "second"):
        skopeo.copy_to_layout(name, mirroring.place / copy)
        layout = Layout(mirroring.place / copy)
        assert len(list(layout.layers())) == 1
        mirroring.upstream.stop()
    # Never asked while it was there: what was pulled is listed.
    listed = skopeo("list-tags", "--tls-verify=false", f"docker://{name}")
    # Newer ones say first that we warn: what is listed may be old.
    answer = listed.stdout[listed.stdout.index("{") :]
    assert json.loads(answer)["Tags"] == ["latest"]
    inspected = skopeo("inspect", "--tls-verify=false", f"docker://{name}")
    assert inspected.returncode == 0, inspected.stdout


def test_what_was_pulled_ahead_needs_no_upstream(mirroring: Mirroring, skopeo: Skopeo):
    mirroring.push(skopeo, "owner/app", "ahead")
    pulled = mirroring.daemon.command("pull", "quay.io/owner/app", "docker.io/no/such")
    assert pulled.returncode == 1
    assert "2 blobs fetched" in pulled.stdout
    assert "docker.io/no/such:latest: " in pulled.stdout
    assert "Traceback" not in pulled.stdout
    assert mirroring.daemon.command("offline", "on").returncode == 0
    assert "told to be offline" in mirroring.daemon.command("status").stdout
    skopeo.copy_to_layout(
        f"{mirroring.daemon.address}/quay.io/owner/app", mirroring.place / "copy"
    )
    missing = mirroring.daemon.manifest("quay.io/other/app")
    assert (missing.status, missing.code) == (403, "DENIED")
    assert "offline" in missing.message
    assert mirroring.daemon.command("offline", "off").returncode == 0
    assert mirroring.daemon.manifest("quay.io/owner/app").headers["age"] == "0"


def test_a_name_space_is_answered_and_told(mirroring: Mirroring, skopeo: Skopeo):
    mirroring.push(skopeo, "owner/app", "hello")
    for registry in (mirroring.daemon, mirroring.daemon.mirror):
        answer = registry.ask("/v2/owner/app/manifests/latest?ns=quay.io")
        assert answer.status == 200
        assert answer.headers["oci-namespace"] == "quay.io"
        unknown = registry.ask("/v2/owner/app/manifests/latest?ns=evil.example")
        assert (unknown.status, unknown.code) == (404, "NAME_UNKNOWN")


def test_it_starts_and_serves_without_a_network(mirroring: Mirroring, skopeo: Skopeo):
    need("unshare", "ip", root=True)
    mirroring.push(skopeo, "owner/app", "hello")
    assert mirroring.daemon.command("pull", "quay.io/owner/app").returncode == 0
    assert mirroring.daemon.process.end() == 0
    mirroring.upstream.stop()
    # No interface but lo: the test can't connect either, but by the admin socket.
    alone = ("unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh")
    config = mirroring.place / "config.toml"
    with serving(mirroring.place, f"--config={config}", prefix=alone) as daemon:
        pulled = daemon.command("pull", "quay.io/owner/app")
        assert pulled.returncode == 0, pulled.stdout
        assert "here already" in pulled.stdout
        assert "Traceback" not in daemon.process.output
