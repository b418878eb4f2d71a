from dataclasses import replace
from pathlib import Path

import pytest

from nixeryd.setup.engine import Engine
from nixeryd.setup.engines import Machine
from nixeryd.setup.visibility import Seen, StoreVisibility, look

STORE_PATH = f"{'0' * 32}-something"


@pytest.fixture
def store(tmp_path) -> str:
    (tmp_path / "store" / STORE_PATH).mkdir(parents=True)
    return str(tmp_path / "store")


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path / "root", tmp_path, {}, is_root=True, is_mac=False)


@pytest.fixture
def docker(tmp_path):
    """Make a `docker` that says something and fails, as the real ones do."""

    def make(says: str) -> Engine:
        program = tmp_path / "docker"
        program.write_text(f"#!/bin/sh\ncat <<'EOF' >&2\n{says}\nEOF\nexit 1\n")
        program.chmod(0o755)
        return Engine("docker", (str(program),))

    return make


NO_IMAGE = "No such image: nixeryd-has-no-such-image:none"
NO_SOURCE = "bind source path does not exist: /nix/store/x"
NOT_SHARED = "mounts denied:\nThe path /nix/store/x is not shared from the host"
NOBODY = (
    "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?"
)


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        (f"Error response from daemon: {NO_IMAGE}", StoreVisibility(Seen.SEES)),
        (
            "Error: nixeryd-has-no-such-image: image not known",
            StoreVisibility(Seen.SEES),
        ),
        (NO_SOURCE, StoreVisibility(Seen.BLIND, NO_SOURCE)),
        (NOT_SHARED, StoreVisibility(Seen.BLIND, NOT_SHARED.splitlines()[1])),
        (NOBODY, StoreVisibility(Seen.SILENT, NOBODY)),
        (
            "permission denied: join\nsome group",
            StoreVisibility(Seen.SILENT, "permission denied: join"),
        ),
        ("", StoreVisibility(Seen.BLIND, "it said nothing")),
    ],
)
def test_what_docker_complains_about_tells_what_it_sees(
    docker, machine, store, says, expected
):
    assert look(docker(says), machine, store) == expected


def test_an_engine_in_a_virtual_machine_is_not_asked(docker, machine, store):
    engine = docker("No such image")
    for machine_of in (
        replace(machine, environ={"DOCKER_CONTEXT": "desktop-linux"}),
        replace(machine, is_mac=True),
    ):
        sight = look(engine, machine_of, store)
        assert sight.seen is Seen.BLIND
        assert "Docker Desktop runs in a virtual machine" in sight.why
        assert sight.vm_host == "host.docker.internal"
    colima = replace(machine, environ={"DOCKER_CONTEXT": "colima"})
    assert "colima" in look(engine, colima, store).why


@pytest.mark.parametrize(
    ("words", "environ", "seen"),
    [
        (("podman",), {}, Seen.SEES),
        (("podman", "--remote"), {}, Seen.BLIND),
        (("podman",), {"CONTAINER_HOST": "ssh://elsewhere"}, Seen.BLIND),
        (("podman",), {"CONTAINER_CONNECTION": "vm"}, Seen.BLIND),
    ],
)
def test_podman_sees_what_we_see_unless_it_passes_everything_on(
    machine, store, words, environ, seen
):
    engine = Engine("podman", words)
    assert look(engine, replace(machine, environ=environ), store).seen is seen


def test_nobody_sees_a_store_that_is_not_there(machine, tmp_path):
    sight = look(Engine("nerdctl", ("nerdctl",)), machine, str(tmp_path / "none"))
    assert (sight.seen, str(tmp_path / "none") in sight.why) == (Seen.BLIND, True)


def test_on_a_mac_podman_and_nerdctl_are_in_a_virtual_machine(machine, store):
    mac = replace(machine, is_mac=True)
    for kind in ("podman", "nerdctl"):
        assert look(Engine(kind, (kind,)), mac, store).seen is Seen.BLIND


def test_a_docker_that_is_not_there_does_not_answer(machine, store):
    engine = Engine("docker", (str(Path(store) / "docker"),))
    assert look(engine, machine, store).seen is Seen.SILENT
