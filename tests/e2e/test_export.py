"""Exported images in the programs that load them, with no daemon to pull from."""

import hashlib
import json
import os
import subprocess

import pytest

from tests.e2e.command import Command
from tests.e2e.layout import Layout
from tests.e2e.serving import NIXERYD, serving

NAME = "shell/hello"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """An archive, and the name that the image in it has; its daemon is gone."""
    place = tmp_path_factory.mktemp("export")
    file = place / "image.tar"
    with serving(place) as daemon:
        nixeryd = Command(daemon.data)
        assert str(file) in nixeryd.done("export", NAME, file)
        again = place / "again.tar"
        nixeryd.done("export", f"{daemon.address}/{NAME}:latest", again)
        assert digest_of(again) == digest_of(file)
        piped = subprocess.run(
            [NIXERYD, "export", f"--data-dir={daemon.data}", NAME, "-"],
            check=True,
            capture_output=True,
        )
        assert hashlib.sha256(piped.stdout).hexdigest() == digest_of(file)
        assert sorted(path.name for path in place.glob("*.tar*")) == [
            "again.tar",
            "image.tar",
        ]
    return file, f"{daemon.address}/{NAME}:latest"


def digest_of(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_it_is_a_layout_whose_blobs_are_what_they_are_called(archive, tmp_path):
    file, name = archive
    subprocess.run(["tar", "--extract", f"--file={file}", "-C", tmp_path], check=True)
    layout = Layout(tmp_path)
    assert len(list(layout.layers())) == len(layout.manifest["layers"])
    assert layout.config["config"]["Cmd"] == ["bash"]
    (image,) = json.loads((tmp_path / "manifest.json").read_text())
    assert image["RepoTags"] == [name]


def test_docker_loads_and_runs_it(archive, docker):
    file, name = archive
    loaded = docker("load", "--input", str(file))
    assert f"Loaded image: {name}" in loaded.stdout
    ran = docker.run(name, "hello")
    assert "Hello" in ran.stdout, ran.stdout


def test_podman_loads_and_runs_it(archive, podman):
    file, name = archive
    loaded = podman("load", "--input", str(file))
    assert loaded.returncode == 0, loaded.stdout
    listed = podman("images", "--format", "{{.Repository}}:{{.Tag}}").stdout
    assert name in listed.splitlines()
    ran = podman.run(name, "hello")
    assert "Hello" in ran.stdout, ran.stdout


@pytest.mark.parametrize("kind", ["oci-archive", "docker-archive"])
def test_skopeo_reads_it_as(archive, skopeo, tmp_path, kind):
    file, _ = archive
    source = f"{kind}:{file}"
    inspected = skopeo("inspect", source)
    assert inspected.returncode == 0, inspected.stdout
    copied = skopeo("copy", source, f"dir:{tmp_path / 'copy'}")
    assert copied.returncode == 0, copied.stdout


def test_a_file_that_cannot_be_is_refused_and_nothing_is_left(odd_daemon, tmp_path):
    nixeryd = Command(odd_daemon.data)
    file = tmp_path / "image.tar"
    file.write_text("of before")
    assert "paying customers" in nixeryd.failed("export", "throws", file)
    assert "is a directory" in nixeryd.failed("export", "curious", tmp_path, code=2)
    nowhere = tmp_path / "nowhere" / "image.tar"
    assert "cannot be written" in nixeryd.failed("export", "curious", nowhere)
    assert file.read_text() == "of before"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_full_disk_is_told_and_gets_its_space_back(odd_daemon, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", small], check=True
    )
    try:
        message = Command(odd_daemon.data).failed("export", "curious", small / "a.tar")
        assert message == (
            f"nixeryd: {small / 'a.tar'} cannot be written: No space left on device\n"
        )
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)
