"""systemd's socket activation, with systemd's own tool for trying it."""

import http.client
import signal
import socket
import stat
from pathlib import Path
from typing import Self

from tests.e2e.conftest import need
from tests.e2e.processes import (
    PATIENCE,
    Process,
    bare_environment,
    environment,
    run,
)
from tests.e2e.registry import Registry
from tests.e2e.serving import NIX_CONFIG, NIXERYD


class Activated:
    """What `systemd-socket-activate` starts at the first connection."""

    def __init__(self, place: Path, **variables: str) -> None:
        self.place = place
        self.main, self.mirror = free_port(), free_port()
        self.admin = place / "run" / "nixeryd" / "admin.sock"
        self.admin.parent.mkdir(parents=True)
        self.systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.systemd.bind(str(place / "notify"))
        self.systemd.settimeout(PATIENCE)
        self.variables = bare_environment() | {
            "HOME": str(place),
            "NIX_CONFIG": NIX_CONFIG,
            "XDG_RUNTIME_DIR": str(place / "run"),
            "NOTIFY_SOCKET": str(place / "notify"),
            **variables,
        }
        self.process = Process(
            [
                "systemd-socket-activate",
                f"--listen=127.0.0.1:{self.main}",
                f"--listen=127.0.0.1:{self.mirror}",
                f"--listen={self.admin}",
                "--fdname=nixeryd.socket:mirror:nixeryd.socket",
                *(f"--setenv={name}={value}" for name, value in self.variables.items()),
                NIXERYD,
                "serve",
            ],
            environment(),
        )
        self.process.wait_for_line(f"Listening on {self.admin}")
        self.admin.chmod(0o600)  # the tool knows no SocketMode=

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.end(signal.SIGKILL)
        self.systemd.close()

    def snapshot(self) -> list[str]:
        """Return the next message to systemd."""
        return self.systemd.recv(4096).decode().splitlines()

    def command(self, *words: str):
        return run([NIXERYD, *words], environment(**self.variables))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def test_the_first_who_asks_starts_it_and_every_socket_is_served(tmp_path: Path):
    need("systemd-socket-activate", "nix-instantiate")
    with Activated(tmp_path) as daemon:
        assert Registry(daemon.main).ask("/v2/").status == 200
        ready = daemon.snapshot()
        assert ready[0] == "READY=1"
        assert ready[1].startswith("STATUS=Serving ")
        # The mirror listener is told from the main one: here this is Docker Hub's.
        assert Registry(daemon.mirror).ask("/v2/hello/tags/list").status in {403, 404}
        done = daemon.command("status", "--json")
        assert done.returncode == 0, done.stdout
        assert f'"127.0.0.1:{daemon.main}"' in done.stdout
        assert stat.S_IMODE(daemon.admin.stat().st_mode) == 0o600
        assert daemon.process.end() == 0, daemon.process
        assert daemon.snapshot() == ["STOPPING=1", "STATUS=Stopping: SIGTERM"]
        assert daemon.admin.is_socket(), "it is systemd's, and stays"


def test_it_ends_when_idle_though_a_connection_is_kept_open(tmp_path: Path):
    need("systemd-socket-activate", "nix-instantiate")
    with Activated(tmp_path, NIXERYD_IDLE_EXIT="1") as daemon:
        client = http.client.HTTPConnection("127.0.0.1", daemon.main, timeout=PATIENCE)
        client.request("GET", "/healthz")
        assert client.getresponse().read()
        assert daemon.process.wait() == 0, daemon.process
        client.close()
        assert daemon.snapshot()[0] == "READY=1"
        assert daemon.snapshot()[1] == "STATUS=Stopping: nothing to do for 1 s"


def test_an_admin_socket_elsewhere_is_no_loss(tmp_path: Path):
    need("systemd-socket-activate", "nix-instantiate")
    other = tmp_path / "other-data"
    with Activated(tmp_path, NIXERYD_DATA_DIR=str(other)) as daemon:
        assert Registry(daemon.main).ask("/v2/").status == 200
        done = daemon.command("status")
        assert done.returncode == 0, done.stdout
        assert str(other) in done.stdout
        assert daemon.process.end() == 0, daemon.process
