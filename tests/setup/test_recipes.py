from pathlib import Path

import pytest

from nixeryd.setup import files, recipes
from nixeryd.setup.engines import Machine
from nixeryd.setup.errors import SetupError
from nixeryd.setup.targets import Targets


@pytest.fixture
def machine(tmp_path):
    def make(*, is_root=True, is_mac=False, **environ):
        return Machine(tmp_path, tmp_path / "home", environ, is_root, is_mac)

    return make


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_docker_desktop_is_told_the_hosts_name_and_what_else_it_needs(machine):
    recipe = recipes.docker(machine(is_root=False, is_mac=True), Targets())
    (edit,) = recipe.edits()
    assert b'"http://host.docker.internal:5001"' in edit.after
    assert b'"insecure-registries": ["host.docker.internal:5000"]' in edit.after
    assert any('hosts = ["host.docker.internal"]' in hint for hint in recipe.hints)


def test_docker_desktop_cannot_be_given_hosts_toml(machine):
    here = machine(is_root=False, is_mac=True)
    with pytest.raises(SetupError, match="--all-registries is not possible"):
        recipes.docker(here, Targets(), all_registries=True)


def test_docker_warns_of_a_flag_that_would_stop_dockerd(machine, tmp_path):
    place = write(tmp_path / "etc/default/docker", "DOCKER_OPTS=--registry-mirror=x\n")
    recipe = recipes.docker(machine(), Targets())
    assert any(str(place) in warning for warning in recipe.warnings)


def test_rootless_docker_is_restarted_by_its_user(machine):
    recipe = recipes.docker(machine(is_root=False), Targets(), rootless=True)
    assert recipe.reload[0].startswith("systemctl --user restart docker")
    assert any("--mirror-listen" in warning for warning in recipe.warnings)


def test_containerd_writes_where_its_config_looks(machine, tmp_path):
    certs_d = tmp_path / "elsewhere"
    write(
        tmp_path / "etc/containerd/config.toml",
        'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\n'
        f'config_path = "{certs_d}:/etc/docker/certs.d"\n',
    )
    edits = recipes.containerd(machine(), Targets()).edits()
    assert {edit.path.parent.parent for edit in edits} == {certs_d}
    assert len(edits) == len(Targets().upstreams)


def test_containerd_and_undo_leave_what_was_there(machine, tmp_path):
    config = write(tmp_path / "etc/containerd/config.toml", "# mine\nversion = 2\n")
    hosts = write(
        tmp_path / "etc/containerd/certs.d/quay.io/hosts.toml", 'server = "https://q"\n'
    )
    before = {config: config.read_bytes(), hosts: hosts.read_bytes()}
    files.apply(recipes.containerd(machine(), Targets()).edits())
    assert all(path.read_bytes() != old for path, old in before.items())
    assert recipes.containerd(machine(), Targets()).edits() == []
    files.undo(files.plan_undo(recipes.containerd(machine(), Targets()).paths))
    left = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == before


def test_an_upstream_that_is_no_more_is_undone_too(machine, tmp_path):
    more = Targets(upstreams={"a.example": "https://a.example"})
    files.apply(recipes.containerd(machine(), more).edits())
    files.undo(files.plan_undo(recipes.containerd(machine(), Targets()).paths))
    assert not (tmp_path / "etc").exists()


@pytest.mark.parametrize(
    ("name", "winner"),
    [
        ("registries.conf", "50-nixeryd.conf wins"),
        ("registries.conf.d/10-a.conf", "50-nixeryd.conf wins"),
        ("registries.conf.d/90-z.conf", "90-z.conf wins"),
    ],
)
def test_podman_warns_of_another_file_with_the_same_prefix(
    machine, tmp_path, name, winner
):
    write(tmp_path / "etc/containers" / name, '[[registry]]\nlocation = "quay.io"\n')
    (warning,) = recipes.podman(machine(), Targets()).warnings
    assert warning.endswith(winner)
    assert "also defines quay.io" in warning


def test_podman_warns_of_a_file_that_it_cannot_read_either(machine, tmp_path):
    write(tmp_path / "etc/containers/registries.conf", "[[registry\n")
    (warning,) = recipes.podman(machine(), Targets()).warnings
    assert "registries.conf cannot be read: line 1" in warning


def test_podman_machine_is_told_its_own_way(machine):
    with pytest.raises(SetupError, match="podman machine ssh"):
        recipes.podman(machine(is_root=False, is_mac=True), Targets())


def test_buildkit_warns_of_the_file_that_buildx_takes_instead(machine, tmp_path):
    write(tmp_path / "home/.docker/buildx/buildkitd.default.toml", "debug = true\n")
    recipe = recipes.buildkit(machine(), Targets())
    assert any("buildkitd.default.toml" in warning for warning in recipe.warnings)
    assert recipe.paths == [tmp_path / "etc/buildkit/buildkitd.toml"]


def test_a_relative_file_gives_an_absolute_config_path(machine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = recipes.containerd(machine(), Targets(), file=Path("config.toml"))
    assert f'config_path = "{tmp_path}/certs.d"'.encode() in recipe.edits()[0].after
