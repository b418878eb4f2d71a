"""Another user listens at our ports: whoever would pull from there is told."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nixeryd.config.settings import Settings
from nixeryd.doctor.findings import Level
from nixeryd.doctor.ports import check_ports
from nixeryd.runtime.strangers import ports_of, strangers_at
from nixeryd.setup.targets import Targets
from tests.e2e.processes import Process, environment, run
from tests.e2e.serving import NIXERYD

NOBODY = 65534
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0,
    reason="needs Linux, and root to be two users",
)

LISTEN = f"""\
import os, socket, sys, time
os.setgroups([]); os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
host, port = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ":" in host else socket.AF_INET
sock = socket.create_server((host, port), family=family)
print("at", sock.getsockname()[1], flush=True)
time.sleep(1000)
"""


@contextmanager
def squatter(host: str, port: int = 0) -> Iterator[int]:
    """Return the port at which nobody listens, a user of that name."""
    process = Process([sys.executable, "-c", LISTEN, host, str(port)])
    try:
        yield int(process.wait_for_line(r"at (\d+)")[1])
    finally:
        process.end()


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::1", "[::1]"),
        ("::", "[::1]"),
    ],
)
def test_a_squatter_is_named(host, address):
    with squatter(host) as port:
        said = f"{address}:{port} belongs to the user nobody"
        assert said in strangers_at([port])
        assert strangers_at([port], also=[NOBODY]) == []


def test_a_listener_of_ones_own_is_no_squatter():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        assert strangers_at(ports_of([f"127.0.0.1:{sock.getsockname()[1]}"])) == []


def test_the_doctor_tells_of_a_squatter():
    with squatter("127.0.0.1") as port:
        settings = Settings(listen=(f"127.0.0.1:{port}",), mirror_listen=())
        first, *_ = check_ports(settings, None)
    assert first.level is Level.BROKEN
    assert "belongs to the user nobody" in first.text
    assert "nixeryd service install" in first.advice


def test_one_beside_a_daemon_is_told_of_and_nothing_is_run(target):
    """`localhost` means ::1 as well, where the daemon does not listen."""
    with squatter("::1", target.port):
        said = f"[::1]:{target.port} belongs to the user nobody"
        assert said in target.daemon.command("status").stdout
        words = ["run", f"--data-dir={target.daemon.data}", "--print", "curious"]
        done = run([NIXERYD, *words], target.daemon.environ)
        assert done.returncode == 1
        assert said in done.stdout
        assert said in target.daemon.command("doctor").stdout


def test_one_in_place_of_a_daemon_is_told_of(tmp_path):
    environ = environment(HOME=str(tmp_path), XDG_RUNTIME_DIR=None)
    with squatter("127.0.0.1") as port:
        address = f"127.0.0.1:{port}"
        done = run(
            [NIXERYD, "list", f"--data-dir={tmp_path}"],
            {**environ, "NIXERYD_LISTEN": address},
        )
        assert done.returncode == 3
        assert f"{address} belongs to the user nobody" in done.stdout
        file = tmp_path / "daemon.json"
        done = run(
            [
                NIXERYD,
                *f"setup docker -n --mirror-listen={address}".split(),
                f"--file={file}",
            ],
            environ,
        )
        assert f"warning: {address} belongs to the user nobody" in done.stdout
    assert Targets().mirror not in done.stdout
