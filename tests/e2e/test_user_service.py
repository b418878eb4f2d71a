"""The service as a user has it: a real systemd, in namespaces of its own."""

import sys
from pathlib import Path

from tests.e2e.conftest import need
from tests.e2e.processes import environment, run
from tests.e2e.serving import NIX_CONFIG, NIXERYD

# systemd looks for /run/systemd/system, and the usual ports must be free: the
# network is a new one with nothing but a loopback.
SCRIPT = """\
set -eu
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system "$XDG_RUNTIME_DIR"
"$PYTHON" -c '
import fcntl, socket, struct
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    fcntl.ioctl(sock, 0x8914, struct.pack("16sh22x", b"lo", 1))
'
/lib/systemd/systemd --user --log-target=console --log-level=warning &
manager=$!
until systemctl --user show-environment >/dev/null 2>&1; do
    kill -0 $manager
done
echo "== install"
"$NIXERYD" service install
"$NIXERYD" service status
echo "== first request"
systemctl --user is-active nixeryd.service || true
ask() { "$PYTHON" -c '
import sys, urllib.request
with urllib.request.urlopen(sys.argv[1]) as answer:
    print(answer.status, answer.read(20))
' "$1"; }
ask http://127.0.0.1:5000/v2/hello/manifests/latest
"$NIXERYD" status
systemctl --user show -p ActiveState -p StatusText nixeryd.service
echo "== reload"
mkdir -p "$HOME/.config/nixeryd"
echo 'idle_exit = 1000' >"$HOME/.config/nixeryd/config.toml"
systemctl --user reload nixeryd.service
systemctl --user is-active nixeryd.service
echo "== restart by asking"
systemctl --user stop nixeryd.service 2>/dev/null
ask http://127.0.0.1:5001/healthz
echo "== uninstall"
"$NIXERYD" service uninstall
systemctl --user is-active nixeryd.service nixeryd.socket || true
"$NIXERYD" service status
echo "== end"
kill $manager
wait $manager || true
"""


def test_a_user_installs_the_service_and_has_it_when_asked_for(tmp_path: Path):
    need("unshare", "systemctl", "nix-instantiate", root=True)
    done = run(
        [
            *("unshare", "--mount", "--pid", "--net", "--fork", "--kill-child"),
            *("--mount-proc", "bash", "-c", SCRIPT),
        ],
        environment(
            HOME=str(tmp_path),
            XDG_RUNTIME_DIR="/run/user/0",
            XDG_CONFIG_HOME=None,
            XDG_DATA_HOME=None,
            NIX_CONFIG=NIX_CONFIG,
            NIX_PATH=None,
            PYTHON=sys.executable,
            NIXERYD=str(NIXERYD),
            DBUS_SESSION_BUS_ADDRESS=None,
        ),
    )
    parts = dict(part.split("\n", 1) for part in done.stdout.split("== ")[1:])
    assert done.returncode == 0, done.stdout
    assert "nixeryd is there when somebody asks" in parts["install"]
    assert "loginctl enable-linger" in parts["install"]
    assert "nixeryd.socket         enabled, active" in parts["install"]
    first = parts["first request"]
    assert first.startswith("inactive\n200 ")
    assert "mirror    http://localhost:5001" in first
    assert "ActiveState=active" in first
    assert "StatusText=Serving " in first
    assert parts["reload"] == "active\n"
    assert parts["restart by asking"].startswith("200 ")
    assert "inactive\ninactive\n" in parts["uninstall"]
    assert "not installed" in parts["uninstall"]
    assert not list((tmp_path / ".config" / "systemd" / "user").glob("nixeryd*"))
