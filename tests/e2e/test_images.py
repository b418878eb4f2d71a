"""Images of the demo set, pulled and run by the clients that people have."""

import json
from pathlib import Path

import pytest

from tests.e2e.engines import Docker, Podman, Skopeo
from tests.e2e.layout import ARCHITECTURE, Layout
from tests.e2e.serving import Daemon

ENGINES = ["docker", "podman"]
PYTHON = "import hashlib, json, sqlite3, sys; print(f'python {sys.platform} runs')"


@pytest.fixture(params=ENGINES)
def engine(request) -> Docker | Podman:
    return request.getfixturevalue(request.param)


def test_python_runs_in_a_container(engine: Docker | Podman, daemon: Daemon):
    ran = engine.run(f"{daemon.address}/shell/python3", "python3", "-c", PYTHON)
    assert ran.returncode == 0, ran.stdout
    assert "python linux runs" in ran.stdout


def test_a_shell_image_starts_bash_with_the_usual_programs(
    engine: Docker | Podman, daemon: Daemon
):
    script = 'set -e; test -w /tmp; /usr/bin/env true; which() { type -P "$1"; };'
    script += "which nano; which sponge; ls -d /etc/ssl/certs/ca-bundle.crt; hello"
    ran = engine.run(f"{daemon.address}/shell/hello", "bash", "-c", script)
    assert ran.returncode == 0, ran.stdout
    assert "Hello" in ran.stdout


def test_an_image_of_one_package_starts_its_program(
    engine: Docker | Podman, daemon: Daemon
):
    ran = engine.run(f"{daemon.address}/hello")
    assert ran.returncode == 0, ran.stdout
    assert "Hello" in ran.stdout


def test_an_engine_shows_the_error_of_an_image_that_does_not_exist(
    engine: Docker | Podman, daemon: Daemon
):
    ran = engine.run(f"{daemon.address}/no-such-package")
    assert ran.returncode != 0
    assert "there is no package no-such-package" in ran.stdout


def test_an_engine_shows_the_error_of_a_build_that_failed(
    engine: Docker | Podman, odd_daemon: Daemon
):
    ran = engine.run(f"{odd_daemon.address}/breaks")
    assert ran.returncode != 0
    assert "the last line before the end" in ran.stdout


@pytest.fixture(scope="module")
def layout(skopeo: Skopeo, daemon: Daemon, tmp_path_factory) -> Layout:
    directory = tmp_path_factory.mktemp("layout")
    skopeo.copy_to_layout(f"{daemon.address}/shell/python3", directory)
    return Layout(directory)


def test_skopeo_copies_an_image_and_every_digest_is_right(
    layout: Layout, daemon: Daemon
):
    assert layout.manifest == daemon.manifest("shell/python3").json
    assert len(list(layout.layers())) == len(layout.manifest["layers"])


def test_the_config_says_how_to_start_the_image(layout: Layout):
    assert layout.config["os"] == "linux"
    assert layout.config["architecture"] == ARCHITECTURE
    assert layout.config["config"]["Cmd"] == ["bash"]
    settings = dict(line.split("=", 1) for line in layout.config["config"]["Env"])
    assert "/bin" in settings["PATH"].split(":")
    assert settings["SSL_CERT_FILE"] == "/etc/ssl/certs/ca-bundle.crt"


def test_skopeo_inspects_an_image_and_lists_its_tags(skopeo: Skopeo, daemon: Daemon):
    name = f"docker://{daemon.address}/shell/hello"
    inspected = skopeo("inspect", "--tls-verify=false", name)
    assert inspected.returncode == 0, inspected.stdout
    seen = json.loads(inspected.stdout)
    assert seen["Digest"] == daemon.manifest("shell/hello").digest
    assert seen["RepoTags"] == ["latest"]


def test_a_copy_by_digest_is_the_same_image(
    skopeo: Skopeo, daemon: Daemon, tmp_path: Path
):
    asked = daemon.manifest("shell/hello")
    skopeo.copy_to_layout(f"{daemon.address}/shell/hello@{asked.digest}", tmp_path)
    assert Layout(tmp_path).manifest == asked.json


def test_who_builds_from_the_demo_set_is_told_how_to_name_nixpkgs(daemon):
    daemon.process.wait_for_line("--nixpkgs PATH")
    answer = daemon.ask("/v2/shell/git/manifests/latest")
    assert answer.status == 404
    assert answer.message.startswith("the demo set: there is no package git")
    assert "--nixpkgs PATH" in answer.message
