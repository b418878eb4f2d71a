"""systemd's side: a real process that starts with files 3, 4, …, a real datagram."""

import fcntl
import os
import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest

from nixeryd.web.systemd import notify

ADOPT = """
import os, socket, sys, trio
from nixeryd.web.systemd import adopt_sockets, ListenError
os.environ["LISTEN_PID"] = sys.argv[1] if len(sys.argv) > 1 else str(os.getpid())
try:
    doors = adopt_sockets(os.environ)
except ListenError as error:
    sys.exit(str(error))
for door, listeners in doors.items():
    for listener in listeners:
        sock = listener.socket
        print(door, sock.getsockname(), os.get_inheritable(sock.fileno()))
print([name for name in os.environ if name.startswith("LISTEN_")])
"""


def adopt(*files, fdnames="", args=(), count=None):
    """Run `adopt_sockets` in a process that has these files as 3, 4, …."""
    with ExitStack() as stack:
        moves, high = "", []
        for index, file in enumerate(files):
            # Far up, so that moving one to its place steps on no other.
            high.append(fcntl.fcntl(file.fileno(), fcntl.F_DUPFD, 50))
            stack.callback(os.close, high[-1])
            moves += f" {3 + index}<&{high[-1]}"
        return subprocess.run(
            [
                "bash",
                "-c",
                f'exec "$@"{moves}',
                "-",
                sys.executable,
                "-c",
                ADOPT,
                *args,
            ],
            env={
                **os.environ,
                "LISTEN_FDS": str(len(files)) if count is None else count,
                "LISTEN_FDNAMES": fdnames,
            },
            pass_fds=high,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture
def tcp():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def test_systemds_sockets_go_to_their_doors(tmp_path, tcp):
    path = tmp_path / "admin.sock"
    with (
        socket.socket(socket.AF_UNIX) as admin,
        socket.create_server(("127.0.0.1", 0)) as mirror,
    ):
        admin.bind(str(path))
        path.chmod(0o600)
        admin.listen()
        done = adopt(tcp, mirror, admin, fdnames="nixeryd.socket:mirror:whatever")
    assert done.stderr == ""
    *lines, environment = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["main", "mirror", "admin"]
    assert [line.split()[-1] for line in lines] == ["False"] * 3  # not inheritable
    assert environment == "[]"


def test_sockets_for_another_process_are_not_taken(tcp):
    assert adopt(tcp, args=["1"]).stdout == "[]\n"


@pytest.mark.parametrize("count", ["", "x", "-1", "²"])
def test_a_count_that_is_none_means_no_sockets(count):
    assert adopt(count=count).stdout == "[]\n"


def test_a_tcp_socket_named_admin_gets_no_rights(tcp):
    assert adopt(tcp, fdnames="admin").stdout.startswith("main ")


def test_what_cannot_be_served_is_refused(tmp_path):
    path = tmp_path / "open.sock"
    with (
        socket.socket(socket.AF_UNIX) as unix,
        socket.create_server(("0.0.0.0", 0)) as wide,
        socket.socket() as deaf,
        (tmp_path / "file").open("w") as file,
    ):
        unix.bind(str(path))
        path.chmod(0o666)
        unix.listen()
        assert "SocketMode=0600" in adopt(unix).stderr
        assert "--allow-remote" in adopt(wide).stderr
        assert "no listening stream socket" in adopt(deaf).stderr
        assert "no socket" in adopt(file).stderr


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(tmp_path, monkeypatch, abstract):
    name = f"@nixeryd-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name.replace("@", "\0", 1) if abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        notify("READY=1", "STATUS=waiting")
        assert systemd.recv(100) == b"READY=1\nSTATUS=waiting"


@pytest.mark.parametrize("name", ["", "/nowhere/at/all"])
def test_nobody_to_tell_is_fine(monkeypatch, name):
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    notify("READY=1")
