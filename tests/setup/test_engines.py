from pathlib import Path

import pytest

from nixeryd.setup import engines
from nixeryd.setup.engines import Kind, Machine
from nixeryd.setup.errors import SetupError


@pytest.fixture
def machine(tmp_path):
    def make(*, is_root=False, is_mac=False, files=(), **environ):
        for name, text in dict(files).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Machine(tmp_path, tmp_path / "home", environ, is_root, is_mac)

    return make


def context(name):
    return {"home/.docker/config.json": f'{{"currentContext": "{name}"}}'}


@pytest.mark.parametrize(
    ("about", "rootless", "want"),
    [
        ({}, None, (Kind.ROOTFUL, "etc/docker/daemon.json")),
        ({}, True, (Kind.ROOTLESS, "home/.config/docker/daemon.json")),
        (
            {"files": context("rootless")},
            None,
            (Kind.ROOTLESS, "home/.config/docker/daemon.json"),
        ),
        (
            {"files": context("rootless")},
            False,
            (Kind.ROOTFUL, "etc/docker/daemon.json"),
        ),
        (
            {"files": context("rootless"), "is_root": True},
            None,
            (Kind.ROOTFUL, "etc/docker/daemon.json"),
        ),
        (
            {"DOCKER_HOST": "unix:///run/user/1000/docker.sock"},
            None,
            (Kind.ROOTLESS, "home/.config/docker/daemon.json"),
        ),
        (
            {
                "files": context("rootless"),
                "DOCKER_HOST": "unix:///var/run/docker.sock",
            },
            None,
            (Kind.ROOTFUL, "etc/docker/daemon.json"),
        ),
        (
            {"files": context("desktop-linux")},
            None,
            (Kind.DESKTOP, "home/.docker/daemon.json"),
        ),
        ({"is_mac": True}, None, (Kind.DESKTOP, "home/.docker/daemon.json")),
        (
            {"is_mac": True, "DOCKER_CONTEXT": "orbstack"},
            None,
            (Kind.ORBSTACK, "home/.orbstack/config/docker.json"),
        ),
        (
            {"files": {"var/snap/docker/current/config/daemon.json": "{}"}},
            None,
            (Kind.SNAP, "var/snap/docker/current/config/daemon.json"),
        ),
        (
            {
                "files": {
                    "var/snap/docker/current/config/daemon.json": "{}",
                    "etc/docker/daemon.json": "{}",
                }
            },
            None,
            (Kind.ROOTFUL, "etc/docker/daemon.json"),
        ),
        # Another program's broken file is not our business.
        (
            {"files": {"home/.docker/config.json": "{"}},
            None,
            (Kind.ROOTFUL, "etc/docker/daemon.json"),
        ),
    ],
)
def test_the_engine_that_docker_talks_to_is_found(
    machine, tmp_path, about, rootless, want
):
    kind, file = want
    found = engines.find_docker(machine(**about), rootless=rootless)
    assert (found.kind, found.daemon_json) == (kind, tmp_path / file)
    in_vm = kind in (Kind.DESKTOP, Kind.ORBSTACK)
    assert found.vm_host == ("host.docker.internal" if in_vm else None)


def test_an_own_socket_without_a_system_one_is_a_rootless_engine(machine, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/docker.sock").touch()
    here = machine(XDG_RUNTIME_DIR=str(tmp_path / "run"))
    assert engines.find_docker(here).kind is Kind.ROOTLESS
    (tmp_path / "var/run").mkdir(parents=True)
    (tmp_path / "var/run/docker.sock").touch()
    assert engines.find_docker(here).kind is Kind.ROOTFUL


def test_colima_is_told_its_own_way(machine):
    with pytest.raises(SetupError, match="colima start --edit"):
        engines.find_docker(machine(files=context("colima-work")))


@pytest.mark.parametrize(
    ("given", "want"), [("/xdg", "/xdg"), ("rel", "HOME"), ("", "HOME")]
)
def test_the_config_directory_is_what_xdg_says(machine, given, want):
    here = machine(XDG_CONFIG_HOME=given)
    assert here.config == (Path(want) if want != "HOME" else here.home / ".config")


def test_a_mirror_flag_of_dockerd_is_found_where_it_is_set(machine, tmp_path):
    drop_in = "etc/systemd/system/docker.service.d/10-mirror.conf"
    here = machine(
        files={
            drop_in: "[Service]\nExecStart=\nExecStart=dockerd --registry-mirror=x\n",
            "etc/default/docker": '# DOCKER_OPTS="--registry-mirror=y"\n',
        }
    )
    assert engines.mirror_flags(here) == [tmp_path / drop_in]


def test_podman_reads_the_users_files_alone_when_there_is_a_main_one(machine, tmp_path):
    files = {
        "etc/containers/registries.conf": "",
        "etc/containers/registries.conf.d/a.conf": "",
        "home/.config/containers/registries.conf.d/b.conf": "",
    }
    here = machine(files=files)
    assert engines.podman_files(here) == [tmp_path / name for name in files]
    main = "home/.config/containers/registries.conf"
    here = machine(files={main: ""})
    assert [str(one.relative_to(tmp_path)) for one in engines.podman_files(here)] == [
        main,
        "home/.config/containers/registries.conf.d/b.conf",
    ]


def test_root_sets_up_podman_for_all(machine, tmp_path):
    assert engines.podman_drop_in(machine(is_root=True)).is_relative_to(
        tmp_path / "etc/containers/registries.conf.d"
    )
    assert engines.podman_drop_in(machine()).is_relative_to(tmp_path / "home/.config")


def test_a_directory_of_the_users_own_makes_an_engine_rootless(machine, tmp_path):
    here = machine()
    assert engines.engine_dir(here, "buildkit", rootless=None) == (
        tmp_path / "etc/buildkit"
    )
    (tmp_path / "home/.config/buildkit").mkdir(parents=True)
    assert engines.engine_dir(here, "buildkit", rootless=None) == (
        tmp_path / "home/.config/buildkit"
    )
    assert engines.engine_dir(here, "buildkit", rootless=False) == (
        tmp_path / "etc/buildkit"
    )
