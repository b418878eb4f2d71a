import pytest

from nixeryd.images.errors import NixerydError
from nixeryd.setup.engine import Engine, installed, parse_engine

PODMAN = Engine("podman", ("sudo", "podman"))
DOCKER = Engine("docker", ("docker",))


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Put programs on PATH, and nothing else."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(*names):
        for name in names:
            (tmp_path / name).write_text("#!/bin/sh\n")
            (tmp_path / name).chmod(0o755)

    return put


def test_only_podman_has_to_be_told_that_localhost_is_plain_http():
    assert PODMAN.pull("localhost:5000/git") == [
        "sudo", "podman", "pull", "--quiet", "--tls-verify=false", "localhost:5000/git",
    ]  # fmt: skip
    assert DOCKER.pull("i") == ["docker", "pull", "--quiet", "i"]


def test_the_users_options_come_last_and_before_the_image():
    argv = DOCKER.run("i", ["--rm=false"], ["a", "-b"], is_thin=True, usual=["--rm"])
    assert argv == [
        "docker", "run", "--rm", "--volume=/nix/store:/nix/store:ro", "--rm=false",
        "i", "a", "-b",
    ]  # fmt: skip


def test_an_ordinary_image_mounts_nothing():
    argv = PODMAN.run("i", [], [], is_thin=False, usual=[])
    assert argv == ["sudo", "podman", "run", "i"]


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("docker", "docker", ("docker",)),
        ("sudo podman", "podman", ("sudo", "podman")),
        ("podman --runtime runc", "podman", ("podman", "--runtime", "runc")),
    ],
)
def test_an_engine_is_read_as_one_would_type_it(programs, text, kind, words):
    programs("docker", "podman", "sudo")
    assert parse_engine(text) == Engine(kind, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rkt", "'rkt' is none of docker, podman, nerdctl: nothing .* rkt --version"),
        ("", "'' is not installed"),
        ("docker '", "cannot be read"),
        ("nerdctl", "nerdctl is not installed"),
    ],
)
def test_what_is_no_engine_is_told(programs, text, words):
    programs("docker", "rkt")
    with pytest.raises(NixerydError, match=words):
        parse_engine(text)


@pytest.mark.parametrize(
    ("name", "says", "kind"),
    [
        ("docker29", "Docker version 29.7.0, build 1234567", "docker"),
        ("docker", "podman version 5.4.2", "podman"),
        ("docker", "Emulate Docker CLI using podman.\npodman version 4.3.1", "podman"),
        ("podman-remote", "podman-remote version 4.3.1", "podman"),
        ("ctl", "nerdctl version 2.0.3", "nerdctl"),
        ("docker", "Docker version 20.10.24+dfsg1, build 297e128", "docker"),
        ("podman", "", "podman"),
    ],
)
def test_an_engine_is_what_it_says_and_not_what_it_is_called(
    programs, tmp_path, name, says, kind
):
    programs(name)
    (tmp_path / name).write_text(f"#!/bin/sh\nprintf '%s\\n' '{says}'\n")
    assert parse_engine(name) == Engine(kind, (name,))
    if name in {"docker", "podman"}:
        assert next(installed()) == Engine(kind, (name,))


def test_docker_is_the_first_that_is_tried(programs):
    programs("nerdctl", "podman")
    assert [engine.kind for engine in installed()] == ["podman", "nerdctl"]
    programs("docker")
    assert next(installed()) == DOCKER
