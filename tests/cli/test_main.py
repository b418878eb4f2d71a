"""The command line as a process: one line for what is wrong, and the right code."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.processes import bare_environment

NIXERYD = Path(sys.executable).with_name("nixeryd")


def run(*words, cwd=None, **variables):
    return subprocess.run(
        [NIXERYD, *words],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd=cwd,
        env=bare_environment(**variables),
        timeout=60,
    )


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("serve", "--lisen", "x"), 2, "'--listen'"),
        (("statu",), 2, "Did you mean 'status'?"),
        (("pull",), 2, "See: nixeryd pull --help"),
        (("setup", "dockr"), 2, "No such command 'dockr'"),
        (("status",), 3, "start one with `nixeryd serve`"),
        (("pull", "hello"), 3, "start one with `nixeryd serve`"),
        (("config", "reload"), 3, "start one with `nixeryd serve`"),
        (("status", "--config=/nowhere/x.toml"), 1, "no configuration file /nowhere"),
        (("config", "check", "/dev"), 1, "/dev"),
        (("config", "check", "/proc/self/exe"), 1, "/proc/self/exe"),
        (("serve", "--data-dir=/proc/nowhere", "--listen=127.0.0.1:0"), 1, "/proc/now"),
        (("serve", "--listen=here"), 1, "'here' is no address"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, words, status, said):
    done = run(*words, HOME=str(tmp_path), NIXERYD_MIRROR_LISTEN="127.0.0.1:0")
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert done.stderr.startswith("nixeryd: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_no_variable_at_all_is_needed(tmp_path):
    done = subprocess.run(
        [NIXERYD, "config", "show"],
        check=False,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    done = subprocess.run(
        ["sh", "-c", f"{NIXERYD} config show --json | head -n 1; exit 0"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert (done.stdout, done.stderr) == ("{\n", "")


def at_a_terminal(*words, **variables):
    """Run at a pseudo-terminal; give what is seen there."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [NIXERYD, *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", **variables},
    ):
        os.close(theirs)
        seen = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # EIO: the other side is closed
                break
            if not piece:
                break
            seen += piece
    os.close(ours)
    return seen.decode()


def test_colours_are_for_terminals_and_for_those_who_want_them(tmp_path):
    home = str(tmp_path)
    assert "\x1b[" in at_a_terminal("config", "show", HOME=home, NO_COLOR="")
    assert "\x1b[" not in at_a_terminal("config", "show", HOME=home, NO_COLOR="1")
    assert "\x1b[" not in run("config", "show", HOME=home).stdout


def test_the_lines_of_config_show_are_a_configuration(tmp_path):
    shown = run("config", "show", HOME=str(tmp_path), NIX_TIMEOUT="7").stdout
    assert "nix.timeout = 7" in shown
    assert "# NIX_TIMEOUT" in shown
    file = tmp_path / "config.toml"
    file.write_text(shown)
    checked = run("config", "check", str(file), HOME=str(tmp_path))
    assert (checked.returncode, checked.stdout) == (0, f"{file} is right\n")


def test_where_the_configuration_belongs(tmp_path):
    done = run(
        "config", "path", HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path / "c")
    )
    if sys.platform == "linux":
        assert done.stdout == f"{tmp_path}/c/nixeryd/config.toml\n"
    done = run("config", "check", HOME=str(tmp_path))
    assert "is not there: all defaults" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_reads_its_completions(tmp_path, shell):
    done = run("completions", shell, HOME=str(tmp_path))
    assert "_NIXERYD_COMPLETE" in done.stdout
    if shell == "bash":
        subprocess.run(["bash", "-n"], check=True, input=done.stdout, text=True)


def test_commands_and_options_are_completed(tmp_path):
    def complete(words, position):
        done = run(
            HOME=str(tmp_path),
            _NIXERYD_COMPLETE="bash_complete",
            COMP_WORDS=words,
            COMP_CWORD=str(position),
        )
        return done.stdout.split()

    assert complete("nixeryd con", 1) == ["plain,config"]
    assert "plain,--nixpkgs" in complete("nixeryd serve --", 2)
    assert complete("nixeryd setup pod", 2) == ["plain,podman"]
