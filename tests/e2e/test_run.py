"""`nixeryd run`, with real engines: on a terminal, in a pipe, and where it can't."""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from nixeryd.nix.demo import prepare_demo
from tests.e2e.conftest import need
from tests.e2e.engines import CONFINED, Docker, Podman, docker_engine
from tests.e2e.processes import run
from tests.e2e.serving import NIXERYD, NO_SANDBOX, Daemon, serving
from tests.e2e.terminal import Terminal

Engine = tuple[str, dict[str, str]]


@pytest.fixture(params=["docker", "podman"])
def engine(request) -> Engine:
    """An engine as --engine takes it, and the environment it wants."""
    found = request.getfixturevalue(request.param)
    if isinstance(found, Podman):
        return " ".join(found.program), found.environ
    return "docker", found.environ


def only_changes(environ: Mapping[str, str]) -> dict[str, str]:
    names = ("DOCKER_", "CONTAINERS_", "PATH")
    return {name: value for name, value in environ.items() if name.startswith(names)}


@pytest.fixture
def start(daemon: Daemon, engine: Engine) -> Iterator[Callable[..., Terminal]]:
    """Start `nixeryd run` on a terminal."""
    started = []

    def start(name: str, *command: str) -> Terminal:
        program, environ = engine
        argv = [NIXERYD, "run", f"--data-dir={daemon.data}", f"--engine={program}"]
        argv += [name, *CONFINED, "--", *command]
        terminal = Terminal(argv, {**daemon.environ, **only_changes(environ)})
        started.append(terminal)
        return terminal

    yield start
    for terminal in started:
        terminal.close()


@pytest.mark.parametrize("code", [0, 1])
def test_the_exit_code_is_the_programs(start: Callable[..., Terminal], code: int):
    terminal = start("shell/python3", "bash", "-c", f"tty; exit {code}")
    assert terminal.wait() == code
    assert "/dev/pts/0" in terminal.shown


def test_ctrl_c_reaches_the_program(start: Callable[..., Terminal]):
    # Python would print a traceback and end with 1, bash says 130.
    script = "trap 'exit 130' INT; echo ready; while :; do read -r line; done"
    terminal = start("shell/hello", "bash", "-c", script)
    terminal.wait_for("ready")
    terminal.type("\x03")
    assert terminal.wait() == 130


def test_a_person_types_into_the_container(start: Callable[..., Terminal]):
    terminal = start("shell/hello", "bash", "-c", "read -r who; hello $who")
    terminal.type("moon\n")
    terminal.wait_for("Hello, moon!")
    assert terminal.wait() == 0


def test_what_is_piped_in_goes_through_and_nothing_else_comes_out(
    daemon: Daemon, docker: Docker
):
    done = subprocess.run(
        [NIXERYD, "run", f"--data-dir={daemon.data}", "shell/hello", *CONFINED,
         "--", "cat"],
        env={**daemon.environ, **only_changes(docker.environ)},
        input="through\n", check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert done.stdout == "through\n"


def ask(
    daemon: Daemon, engine: Docker, *words: str
) -> subprocess.CompletedProcess[str]:
    argv = [NIXERYD, "run", f"--data-dir={daemon.data}", *words]
    return run(argv, {**daemon.environ, **only_changes(engine.environ)})


GREET = """\
{ system ? null }:
let
  demo = import @demo@ { };
in
demo // {
  greet = derivation {
    name = "greet";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    PATH = "/usr/bin:/bin";
    program = "#!${demo.bashInteractive}/bin/bash\\necho @word@\\n";
    args = [
      "-euc"
      "mkdir -p $out/bin; printf %s \\"$program\\" > $out/bin/greet; chmod 555 $out/bin/greet"
    ];
  };
}
"""  # noqa: E501  Nix


def test_an_edit_is_seen_by_the_next_run(docker: Docker, tmp_path: Path):
    need("nix-instantiate")
    text = GREET.replace("@demo@", str(prepare_demo(tmp_path / "demo")))
    source = tmp_path / "set.nix"
    shown = []
    source.write_text(text.replace("@word@", "before"))
    with serving(
        tmp_path, "--nixpkgs", source, environ={"NIX_CONFIG": NO_SANDBOX}
    ) as daemon:
        for word in ("before", "after"):
            source.write_text(text.replace("@word@", word))
            argv = [NIXERYD, "run", f"--data-dir={daemon.data}", "shell/greet"]
            argv += [*CONFINED, "--", "greet"]
            environ = {**daemon.environ, **only_changes(docker.environ)}
            with closing(Terminal(argv, environ)) as terminal:
                assert terminal.wait() == 0, terminal.shown
            shown.append(terminal.shown.rstrip())
    assert shown[0].endswith("before")
    assert shown[1].endswith("after")


def test_print_says_what_to_type_and_starts_nothing(daemon: Daemon, docker: Docker):
    said = ask(daemon, docker, "--print", "nano:latest", "-e", "A=a b", "--", "nano")
    image = f"{daemon.address}/thin/nano:latest"
    assert said.stdout == (
        f"docker pull --quiet {image} && docker run --rm"
        f" --volume=/nix/store:/nix/store:ro -e 'A=a b' {image} nano\n"
    )
    assert said.returncode == 0
    assert daemon.ask("/v2/thin/nano/tags/list").status == 404


def test_without_a_daemon_the_exit_code_is_3(tmp_path: Path):
    done = run([NIXERYD, "run", f"--data-dir={tmp_path}", "hello"])
    assert done.returncode == 3
    assert "no daemon answers" in done.stdout
    assert "nixeryd serve" in done.stdout


def test_what_cannot_be_built_is_told_and_not_run(daemon: Daemon, docker: Docker):
    done = ask(daemon, docker, "no-such-package", *CONFINED)
    assert done.returncode == 1
    assert "there is no package no-such-package" in done.stdout


@pytest.fixture
def blind(tmp_path: Path) -> Iterator[Docker]:
    """An engine that has a /nix/store of its own, as one elsewhere would."""
    need("dockerd", "docker", "runc", "unshare", root=True)
    script = 'mount -t tmpfs none /nix && mkdir /nix/store && exec "$@"'
    prefix = ("unshare", "--mount", "sh", "-euc", script, "sh")
    with docker_engine(prefix=prefix) as engine:
        yield engine


def test_an_engine_that_sees_another_store_gets_the_ordinary_image(
    daemon: Daemon, blind: Docker
):
    done = ask(daemon, blind, "hello", *CONFINED)
    assert "docker does not see this machine's /nix/store" in done.stdout
    assert "bind source path does not exist" in done.stdout
    assert done.stdout.endswith("Hello, world!\n")
    assert done.returncode == 0


def test_a_silent_engine_is_told_apart(daemon: Daemon, docker: Docker, tmp_path: Path):
    silent = Docker({**docker.environ, "DOCKER_HOST": f"unix://{tmp_path}/none"})
    done = ask(daemon, silent, "--engine=docker", "hello")
    assert done.returncode == 1
    assert "docker does not answer" in done.stdout
