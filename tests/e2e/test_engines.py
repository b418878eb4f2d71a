"""The harness itself: the engines run an image of somebody else's registry.

When these fail, look at the machine and not at nixeryd.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import need
from tests.e2e.engines import Docker, Podman, Skopeo
from tests.e2e.layout import Layout, write_layout
from tests.e2e.processes import Process, run
from tests.e2e.registry import Registry

REGISTRY = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {place}}}}}
http: {{addr: "127.0.0.1:0"}}
log: {{formatter: json}}
"""


def echo_and_its_libraries() -> dict[str, bytes]:
    libraries = re.findall(r"(/\S+) \(0x", run(["ldd", "/bin/echo"]).stdout)
    return {path[1:]: Path(path).read_bytes() for path in ["/bin/echo", *libraries]}


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Iterator[Registry]:
    """Debian's docker-registry (distribution), with a port of its own choice."""
    need("docker-registry")
    place = tmp_path_factory.mktemp("registry")
    (place / "config.yml").write_text(REGISTRY.format(place=place / "data"))
    process = Process(["docker-registry", "serve", place / "config.yml"])
    try:
        line = process.wait_for_line("listening on")
        yield Registry(int(re.search(r"listening on \S+?:(\d+)", line.string)[1]))
    finally:
        process.end()


@pytest.fixture(scope="module")
def image(registry: Registry, skopeo: Skopeo, tmp_path_factory) -> str:
    layout = tmp_path_factory.mktemp("layout")
    write_layout(layout, echo_and_its_libraries(), ["/bin/echo", "it runs"])
    name = f"{registry.address}/echo:latest"
    pushed = skopeo(
        "copy", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{name}"
    )
    assert pushed.returncode == 0, pushed.stdout
    return name


def test_dockerd_runs_an_image(docker: Docker, image: str):
    ran = docker.run(image)
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.endswith("it runs\n")


def test_podman_runs_an_image(podman: Podman, image: str):
    ran = podman.run(image)
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.endswith("it runs\n")


def test_skopeo_copies_what_was_pushed(
    skopeo: Skopeo, image: str, registry: Registry, tmp_path: Path
):
    skopeo.copy_to_layout(image, tmp_path)
    layout = Layout(tmp_path)
    assert layout.manifest == json.loads(registry.manifest("echo").body)
    names = [member.name for archive in layout.layers() for member in archive]
    assert names == list(echo_and_its_libraries())
