"""The engines' own programs read what we write."""

import json
import os
import shutil
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nixeryd.setup import containerd, podman

CRI = 'plugins."io.containerd.grpc.v1.cri"'
pytestmark = pytest.mark.e2e


def program(name):
    return pytest.param(
        name,
        marks=pytest.mark.skipif(not shutil.which(name), reason=f"no {name} here"),
    )


def run(*command, code=0, **environ):
    done = subprocess.run(
        command,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture
def short_path():
    """podman takes no runroot of more than 50 characters."""
    with tempfile.TemporaryDirectory(prefix="nd") as directory:
        yield directory


@pytest.mark.parametrize("name", [program("podman")])
def test_podman_reads_the_drop_in(name, tmp_path, short_path):
    file = tmp_path / "50-nixeryd.conf"
    file.write_text(podman.plan(None, "127.0.0.1:5000", ["docker.io", "ghcr.io"]))
    done = run(
        name,
        *("--root", tmp_path / "root", "--runroot", short_path),
        *("--storage-driver", "vfs", "info", "--format", "{{json .Registries}}"),
        CONTAINERS_REGISTRIES_CONF=str(file),
    )
    registries = json.loads(done.stdout)
    assert registries["localhost:5000"]["Insecure"] is True
    assert registries["127.0.0.1:5000"]["Insecure"] is True
    (mirror,) = registries["ghcr.io"]["Mirrors"]
    assert mirror["Location"] == "127.0.0.1:5000/ghcr.io"
    assert mirror["Insecure"] is True


@pytest.mark.parametrize("name", [program("skopeo")])
def test_skopeo_asks_the_mirror_over_plain_http(name, tmp_path):
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200 if self.path == "/v2/" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever).start()
    try:
        file = tmp_path / ".config/containers/registries.conf.d/50-nixeryd.conf"
        address = f"127.0.0.1:{server.server_port}"
        # A name that never resolves: nobody else is asked.
        file.parent.mkdir(parents=True)
        file.write_text(podman.plan(None, address, ["registry.invalid"]))
        run(
            name,
            *("inspect", "docker://registry.invalid/owner/app:1"),
            code=1,
            HOME=str(tmp_path),
        )
    finally:
        server.shutdown()
        server.server_close()
    assert "/v2/registry.invalid/owner/app/manifests/1" in asked


@pytest.mark.parametrize("name", [program("containerd")])
@pytest.mark.parametrize(
    "text",
    [
        None,
        "version = 2\n",
        '[plugins.cri]\nsandbox_image = "p"\n',
        f'version = 2\n[{CRI}.registry.configs."g".auth]\nusername = "u"\n',
    ],
)
def test_containerd_finds_the_directory(name, tmp_path, text):
    file = tmp_path / "config.toml"
    file.write_text(containerd.plan_config(text, "/test/certs.d"))
    done = run(name, "--config", file, "config", "dump")
    assert 'config_path = "/test/certs.d"' in done.stdout
