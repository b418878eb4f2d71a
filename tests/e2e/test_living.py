"""What befalls a command line in daily life: crashes, other users, full screens."""

import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import need
from tests.e2e.processes import environment, run
from tests.e2e.serving import NIX_CONFIG, NIXERYD, ODD, odd_source, serving, start


def command(place: Path, *words: str | Path, **variables: str | None):
    done = run(
        [NIXERYD, *words],
        environment(
            **{
                "HOME": str(place),
                "XDG_CONFIG_HOME": None,
                "XDG_DATA_HOME": None,
                "XDG_RUNTIME_DIR": None,
                **variables,
            }
        ),
    )
    assert "Traceback" not in done.stdout
    return done


def test_a_crash_leaves_no_lie_and_nothing_in_the_way(tmp_path: Path):
    with serving(tmp_path, prefix=("env",)) as daemon:
        # The socket file of a daemon that was killed, made as it would leave it.
        stale = tmp_path / "stale"
        stale.mkdir()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(stale / "admin.sock"))
        done = command(tmp_path, "status", f"--data-dir={stale}")
        assert done.returncode == 3
        assert "start one with `nixeryd serve`" in done.stdout
        done = command(tmp_path, "status", f"--data-dir={daemon.data}")
        assert done.returncode == 0, done.stdout
    process = start(tmp_path, "--data-dir", stale)
    process.wait_for_line("docker run")
    assert command(tmp_path, "status", f"--data-dir={stale}").returncode == 0
    process.kill()
    assert command(tmp_path, "status", f"--data-dir={stale}").returncode == 3
    process = start(tmp_path, "--data-dir", stale)
    process.wait_for_line("docker run")
    assert process.end() == 0, process


# The first call imports all that the second one needs: nobody else may be able to read
# where this project lies.
AS_NOBODY = """\
import contextlib, io, os, sys
from nixeryd.cli import main
data_dir = sys.argv[1]
sys.argv = ["nixeryd", "status", "--data-dir=/nowhere"]
with contextlib.suppress(SystemExit), contextlib.redirect_stderr(io.StringIO()):
    main()
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
sys.argv = ["nixeryd", "status", f"--data-dir={data_dir}"]
main()
"""


def test_another_users_socket_is_named(tmp_path: Path):
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    with serving(tmp_path) as daemon:
        for place in (tmp_path, *tmp_path.parents[:3], daemon.data):
            place.chmod(place.stat().st_mode | 0o055)
        done = run(
            [sys.executable, "-c", AS_NOBODY, daemon.data],
            environment(
                HOME=str(tmp_path),
                XDG_RUNTIME_DIR=None,
                COVERAGE_PROCESS_CONFIG=None,  # nobody may write its file
            ),
        )
        assert done.returncode == 3, done.stdout
        assert "another user's daemon" in done.stdout
        assert done.stdout.count("\n") == 1


def test_a_home_that_cannot_be_written_is_one_line(tmp_path: Path):
    need("unshare", root=True)
    home = tmp_path / "home"
    home.mkdir()
    freeze = (
        f'mount --bind {home} {home} && mount -o remount,ro,bind {home} && exec "$@"'
    )
    done = run(
        [
            *("unshare", "--mount", "sh", "-c", freeze, "sh", NIXERYD, "serve"),
            *("--listen=127.0.0.1:0", "--mirror-listen=127.0.0.1:0"),
        ],
        environment(HOME=str(home), XDG_DATA_HOME=None, XDG_RUNTIME_DIR=None),
    )
    assert done.returncode == 1
    assert "Read-only file system" in done.stdout
    assert "--data-dir" in done.stdout
    assert done.stdout.count("\n") == 1


def test_status_shows_edits_and_what_failed(tmp_path: Path):
    need("git")
    source = tmp_path / "set"
    source.mkdir()
    file = source / "default.nix"
    text = (Path(__file__).parent / "packages" / "default.nix").read_text()
    file.write_text(text)
    author = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (("init", "-q"), ("add", "."), (*author, "commit", "-qm", "first")):
        subprocess.run(["git", "-C", source, *words], check=True)
    with serving(tmp_path, f"--nixpkgs={source}", environ=ODD) as daemon:
        status = ("status", f"--data-dir={daemon.data}")
        assert ", edited" not in command(tmp_path, *status).stdout
        file.write_text(text + "\n")
        assert daemon.manifest("breaks").status == 403
        said = command(tmp_path, *status).stdout
    assert ", edited" in said
    assert "failed    breaks:latest, just now: building breaks failed" in said
    assert f"http://localhost:{daemon.port}" in said


def test_a_pull_is_live_at_a_terminal_and_plain_in_a_pipe(tmp_path: Path):
    with serving(tmp_path, *odd_source(tmp_path), environ=ODD) as daemon:
        pull = (NIXERYD, "pull", "curious", f"--data-dir={daemon.data}")
        ours, theirs = pty.openpty()
        variables = environment(
            HOME=str(tmp_path), TERM="xterm-256color", NO_COLOR=None, COLUMNS="100"
        )
        with subprocess.Popen(
            pull, stdin=theirs, stdout=theirs, stderr=theirs, env=variables
        ) as client:
            os.close(theirs)
            seen = b""
            while piece := _read(ours):
                seen += piece
        os.close(ours)
        assert client.returncode == 0, seen
        assert b"\x1b[" in seen
        paste = f"docker run -it --rm localhost:{daemon.port}/curious"
        assert paste.encode() in seen
        plain = command(tmp_path, *pull[1:])
        assert plain.returncode == 0, plain.stdout
        assert "\x1b[" not in plain.stdout
        assert "" not in plain.stdout.splitlines(), "no line of the live display"
        assert paste in plain.stdout


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # EIO: the other side is closed
        return b""


def test_a_daemon_that_ends_breaks_a_pull_off_with_a_word(tmp_path: Path):
    with serving(tmp_path, *odd_source(tmp_path), environ=ODD) as daemon:
        pull = subprocess.Popen(
            [NIXERYD, "pull", "slow", f"--data-dir={daemon.data}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(HOME=str(tmp_path), NIX_CONFIG=NIX_CONFIG),
        )
        with pull:
            for line in pull.stdout:
                if "building" in line:
                    break
            assert daemon.process.end(signal.SIGTERM) == 0
            rest = pull.stdout.read()
    assert pull.returncode == 1
    assert "nixeryd is stopping" in rest
    assert "Traceback" not in rest
