"""`nixeryd setup` as it is typed: in a pipe, and at a terminal."""

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

import pytest

from nixeryd.setup.targets import UPSTREAMS
from tests.e2e.processes import bare_environment

CODE = """
import importlib
cli = importlib.import_module("nixeryd.cli.main")
cli.main()
"""
PROGRAM = [sys.executable, "-c", CODE, "setup"]
MIRROR = {"registry-mirrors": ["http://127.0.0.1:5001"]}


@pytest.fixture
def environ(tmp_path):
    home = str(tmp_path / "home")
    return bare_environment(LANG="C.UTF-8", TERM="xterm", HOME=home)


@pytest.fixture
def run(environ, tmp_path):
    (tmp_path / "home").mkdir()

    def run(*arguments, code=0, **changes):
        done = subprocess.run(
            [*PROGRAM, *map(str, arguments)],
            env={**environ, **changes},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


def take_terminal():
    """Make it the controlling terminal, so that ^C is a signal, and one that counts.

    Who runs the tests in the background of a script has it ignored, and so do we.
    """
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def type_at(environ, tmp_path):
    """Run at a terminal, type an answer, give (exit code, what was shown)."""

    def type_at(*arguments, answer):
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [*PROGRAM, *map(str, arguments)],
            env=environ,
            cwd=tmp_path,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=take_terminal,  # noqa: PLW1509  no threads here
        )
        os.close(theirs)
        shown = b""
        while True:
            quiet = not select.select([ours], [], [], 0.5)[0]
            if quiet and b"[y/N]" in shown:
                # Again, if need be: readline misses a ^C that comes before it waits.
                os.write(ours, answer)
            if quiet:
                continue
            try:
                piece = os.read(ours, 4096)
            except OSError:  # EIO: the other side is closed.
                break
            if not piece:
                break
            shown += piece
        os.close(ours)
        return process.wait(), shown.decode()

    return type_at


def test_it_shows_the_diff_writes_and_says_what_is_next(run, tmp_path):
    path = tmp_path / "daemon.json"
    path.write_text('{\n  "debug": true\n}\n')
    done = run("docker", "--rootful", "--file", path, "--yes")
    assert '-  "debug": true\n' in done.stdout
    assert '+  "registry-mirrors": ["http://127.0.0.1:5001"]\n' in done.stdout
    assert f"wrote {path}" in done.stdout
    assert "sudo systemctl reload docker" in done.stdout
    assert "\x1b" not in done.stdout
    assert json.loads(path.read_text()) == {"debug": True, **MIRROR}


def test_a_second_run_changes_nothing(run, tmp_path):
    path = tmp_path / "daemon.json"
    run("docker", "--file", path, "--yes")
    before = {one: one.read_bytes() for one in tmp_path.glob("daemon*")}
    # No terminal and no --yes: there is nothing to ask.
    assert run("docker", "--file", path).stdout == "already set up\n"
    assert {one: one.read_bytes() for one in tmp_path.glob("daemon*")} == before


def test_a_dry_run_writes_nothing(run, tmp_path):
    path = tmp_path / "etc/daemon.json"
    done = run("docker", "--file", path, "--dry-run")
    assert "+++ " in done.stdout
    assert not path.parent.exists()


def test_without_a_terminal_it_says_to_use_yes(run, tmp_path):
    path = tmp_path / "daemon.json"
    done = run("docker", "--file", path, code=2)
    assert "use --yes" in done.stderr
    assert not path.exists()


def test_at_a_terminal_it_asks_in_colour_and_takes_yes(type_at, tmp_path):
    path = tmp_path / "daemon.json"
    code, shown = type_at("docker", "--file", path, answer=b"y\n")
    assert code == 0
    assert "\x1b[32m+" in shown
    assert json.loads(path.read_text()) == MIRROR


def test_at_a_terminal_no_is_no(type_at, tmp_path):
    path = tmp_path / "daemon.json"
    code, shown = type_at("docker", "--file", path, answer=b"\n")
    assert code == 1
    assert "nothing was written" in shown
    assert not path.exists()


def test_at_a_terminal_it_can_be_interrupted(type_at, tmp_path):
    path = tmp_path / "daemon.json"
    code, shown = type_at("docker", "--file", path, answer=b"\x03")
    assert code == 130
    assert "Traceback" not in shown
    assert not path.exists()


def test_undo_shows_its_diff_and_gives_the_old_bytes(run, tmp_path):
    path = tmp_path / "daemon.json"
    path.write_bytes(b'{"a": 1}')
    run("docker", "--file", path, "--yes")
    assert '+{"a": 1}\n' in run("docker", "--file", path, "--undo", "-n").stdout
    run("docker", "--file", path, "--undo", "--yes")
    assert path.read_bytes() == b'{"a": 1}'
    assert run("docker", "--file", path, "--undo").stdout == "nothing to undo\n"


def test_undo_refuses_an_edited_file_until_it_is_forced(run, tmp_path):
    path = tmp_path / "daemon.json"
    path.write_bytes(b"{}")
    run("docker", "--file", path, "--yes")
    path.write_bytes(b'{"mine": 1}')
    done = run("docker", "--file", path, "--undo", "--yes", code=1)
    assert done.stderr.count("\n") == 1
    assert "--undo --force" in done.stderr
    run("docker", "--file", path, "--undo", "--yes", "--force")
    assert path.read_bytes() == b"{}"


@pytest.mark.parametrize(
    ("client", "text", "message"),
    [
        ("docker", b'{\n  "a": 1,\n  oops\n}', "line 3, column 3: not JSON"),
        ("docker", b'{"a": "\xff"}', "line 1, column 8: not UTF-8"),
        ("docker", b"\xff\xfe{\x00}\x00", "not UTF-8"),
        ("docker", b"[]", "not a JSON object"),
        ("podman", b"[[registry]\n", "line 1, column 11: not TOML"),
        ("containerd", b"version = 2\nx\n", "line 2, column 2: not TOML"),
        ("buildkit", b"\x00", "line 1, column 1: not TOML"),
    ],
)
def test_a_broken_file_is_one_line_and_stays(run, tmp_path, client, text, message):
    path = tmp_path / "broken"
    path.write_bytes(text)
    done = run(client, "--file", path, "--yes", code=1)
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"nixeryd: {path}: ")
    assert message in done.stderr
    assert path.read_bytes() == text
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["broken"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["docker", "--listen", "5000", "-n"], 1, "'5000' is no address"),
        (["docker", "--force"], 2, "--force goes with --undo"),
        (["docker", "--bogus"], 2, "No such option"),
        (["lxc"], 2, "No such command 'lxc'"),
        (["docker", "--config", "no.toml"], 1, "no configuration file no.toml"),
    ],
)
def test_wrong_usage_is_named(run, arguments, code, message):
    assert message in run(*arguments, code=code).stderr


DROP_ROOT = """
import os, nixeryd.cli.setup
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
"""


@pytest.fixture
def of_root():
    """A directory that nobody but root may write in, on a way open to all."""
    if os.geteuid() != 0:
        yield "/etc"
        return
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield directory


def test_a_file_of_roots_gives_the_sudo_command(environ, of_root):
    """Become nobody where we are root; else /etc is not ours anyway."""
    code = (DROP_ROOT if os.geteuid() == 0 else "") + CODE
    path = f"{of_root}/nixeryd-test/daemon.json"
    arguments = ["docker", "--file", path, "--listen", "127.0.0.1:7000", "--yes"]
    environ |= {"HOME": "/nonexistent"}
    environ.pop("COVERAGE_PROCESS_CONFIG", None)  # nobody may write its file
    done = subprocess.run(
        [sys.executable, "-c", code, "setup", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1
    assert f"{path} can only be changed by root: sudo /" in done.stderr
    assert "--listen 127.0.0.1:7000 --yes\n" in done.stderr


def test_docker_for_all_registries_and_back(run, tmp_path):
    path = tmp_path / "docker/daemon.json"
    run("docker", "--file", path, "--all-registries", "--yes")
    hosts = {one.parent.name for one in path.parent.glob("certs.d/*/hosts.toml")}
    assert hosts == set(UPSTREAMS)
    # Undo finds them without being told the option again.
    run("docker", "--file", path, "--undo", "--yes")
    assert not path.parent.exists()


def test_configured_addresses_and_upstreams_are_used(run, tmp_path):
    (tmp_path / "c.toml").write_text(
        'listen = ["0.0.0.0:7000"]\nallow_remote = true\n'
        'mirror_listen = ["127.0.0.1:7001"]\n'
        '[upstreams."registry.example.com"]\nurl = "https://registry.example.com"\n'
    )
    path = tmp_path / "50.conf"
    run("podman", "--config", "c.toml", "--file", path, "--yes")
    assert 'location = "127.0.0.1:7000/registry.example.com"' in path.read_text()


def test_a_home_that_is_not_there_is_no_hindrance(run, tmp_path):
    run("buildkit", "--file", "b.toml", "-n", HOME="/nonexistent", XDG_CONFIG_HOME="x")
