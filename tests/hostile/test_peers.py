"""Other users of this machine on our TCP ports: they are told apart and get nothing.

A second user is made by setuid(2) in a child, so these tests want root.
"""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from nixeryd.config.settings import ConfigError, load_settings
from nixeryd.runtime.sockdiag import End, PeerGoneError, SockDiag
from nixeryd.web.listen import as_listener
from nixeryd.web.peers import Peers
from tests.e2e.conftest import need
from tests.e2e.processes import environment, run
from tests.web.conftest import _serving

NOBODY = 65534
STRANGER = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
LINUX = sys.platform == "linux"

pytestmark = pytest.mark.skipif(
    not LINUX or os.geteuid() != 0, reason="needs Linux, and root to be two users"
)

CHILD = """\
import os, select, socket, struct, sys
uid, port = int(sys.argv[1]), int(sys.argv[2])
os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
ask = b"GET /v2/ HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n"
v4, here = socket.AF_INET, ("127.0.0.1", port)
sock = socket.socket(v4)
"""
# Each way leaves a connected `sock` on which `ask` was sent.
WAYS = {
    "as everybody does": "sock.connect(here)",
    "from another loopback address": "sock.bind(('127.0.0.9', 0)); sock.connect(here)",
    "from an IPv6 socket": (
        "sock = socket.socket(socket.AF_INET6)\n"
        "sock.connect(('::ffff:127.0.0.1', port))"
    ),
    # Looked up without an interface, such a socket is not found.
    "from a socket bound to lo": (
        "sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'lo')\n"
        "sock.connect(here)"
    ),
    # The kernel makes the TCP socket by itself, as nobody's it would be root's.
    "by MPTCP, where there is any": (
        "try:\n    sock = socket.socket(v4, socket.SOCK_STREAM, 262)\n"
        "except OSError:\n    pass\n"
        "sock.connect(here)"
    ),
}
READ = """
sock.sendall(ask)
while data := sock.recv(65536):
    sys.stdout.write(data.decode())
"""


def child(way: str, port: int, uid: int = NOBODY, then: str = READ) -> str:
    done = run([sys.executable, "-c", f"{CHILD}{way}{then}", str(uid), str(port)])
    assert done.returncode == 0, done.stdout
    return done.stdout


class Asked:
    """An app that greets, and counts how often it was asked."""

    def __init__(self):
        self.times = 0

    async def __call__(self, _scope, _receive, send):
        self.times += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello", "more_body": False})


@pytest.fixture
def kernel():
    with SockDiag() as kernel:
        yield kernel


# --- how a stranger may connect --------------------------------------------------


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_a_stranger_is_refused_however_they_connect(way, kernel):
    app = Asked()
    async with _serving(app, peers=Peers(frozenset(), kernel)) as server:
        said = await trio.to_thread.run_sync(child, way, server.port)
        assert app.times == 0
        assert said.startswith("HTTP/1.1 403")
        (error,) = json.loads(said.partition("\n\n")[2])["errors"]
        assert error["code"] == "DENIED"
        assert 'users = ["nobody"]' in error["message"]
        # The same of somebody who may, so that it is not the way that is refused.
        said = await trio.to_thread.run_sync(child, way, server.port, 0)
        assert "hello" in said
        assert app.times == 1


# Each leaves a request behind whose sender cannot be seen any more: a socket without
# a holder reads as root's, and one that timed out is not there at all.
GONE = {
    "closed": "sock.connect(here)\nsock.sendall(ask)\nsock.close()",
    "closed after its last word": (
        "sock.connect(here)\nsock.sendall(ask)\nsock.shutdown(socket.SHUT_WR)\n"
        "sock.close()"
    ),
    "reset": (
        "sock.connect(here)\nsock.sendall(ask)\n"
        "linger = struct.pack('ii', 1, 0)\n"
        "sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)\n"
        "sock.close()"
    ),
    # No packet says so: our end stays connected to nobody.
    "timed out": (
        "sock.connect(here)\nsock.sendall(ask)\nsock.setblocking(False)\n"
        "sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1)\n"
        "poll = select.poll()\npoll.register(sock, select.POLLERR)\n"
        "try:\n    while sock.send(b'x' * 65536): pass\n"
        "except BlockingIOError: pass\n"
        "assert poll.poll(60_000)"
    ),
}


@pytest.mark.parametrize("way", GONE.values(), ids=GONE)
async def test_a_request_whose_sender_has_gone_is_not_looked_at(way, kernel):
    """The daemon may be slow to accept; who asked must be known nevertheless."""
    listener = as_listener(socket.create_server(("127.0.0.1", 0)))
    port = listener.socket.getsockname()[1]
    child(way, port, then="")
    app = Asked()
    peers = Peers(frozenset(), kernel)
    async with _serving(app, peers=peers, listener=listener) as server:
        # Connections are accepted one after the other: now the first has been.
        said = await trio.to_thread.run_sync(child, WAYS["as everybody does"], port, 0)
        assert "hello" in said
        server.stop.set()
        await server.stopped.wait()
    assert app.times == 1


async def test_nobody_else_gets_a_stranger_s_answer_on_a_kept_connection(kernel):
    """The user counts, not the address: a port is used again by another user."""
    peers = Peers(frozenset(), kernel)
    async with _serving(Asked(), peers=peers) as server:
        for uid, status in ((0, "200"), (NOBODY, "403"), (0, "200")):
            way = "sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
            way += "sock.bind(('127.0.0.8', 0)); sock.connect(here)"
            said = await trio.to_thread.run_sync(child, way, server.port, uid)
            assert said.startswith(f"HTTP/1.1 {status}")


async def test_a_refusal_is_logged_once_for_each_user(kernel, caplog):
    peers = Peers(frozenset(), kernel)
    async with _serving(Asked(), peers=peers) as server:
        for uid in (NOBODY, NOBODY, 4_000_001, NOBODY, 4_000_001):
            way = WAYS["as everybody does"]
            await trio.to_thread.run_sync(child, way, server.port, uid)
    first, second = [one.getMessage() for one in caplog.records]
    assert 'users = ["nobody"]' in first
    assert "users = [4000001]" in second


async def test_who_may_ask_is_looked_up_for_each_request(kernel):
    peers = Peers(None, kernel)
    async with (
        _serving(Asked(), peers=peers) as server,
        await server.connect() as client,
    ):
        assert (await client.request("GET", "/")).status == 200
        peers.users = frozenset()
        peers._own = {NOBODY}  # we are a stranger now
        answer = await client.request("GET", "/")
        assert answer.status == 403
        assert answer.headers["connection"] == "close"


async def test_a_user_who_is_named_may_ask(kernel):
    async with _serving(Asked(), peers=Peers(frozenset({NOBODY}), kernel)) as server:
        way = WAYS["as everybody does"]
        assert "hello" in await trio.to_thread.run_sync(child, way, server.port)


async def test_the_user_of_a_unix_socket_is_told():
    """Its file keeps others out; this is for one that somebody passes on."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0nixeryd-test")  # no file, no mode
        listener.listen()
        way = "sock = socket.socket(socket.AF_UNIX)\nsock.connect('\\0nixeryd-test')"
        child(way, 0, then="")
        peers = Peers(frozenset(), None)
        assert peers.can_tell(listener)
        with listener.accept()[0] as sock:
            uid = peers.uid(sock)
    assert uid == NOBODY
    assert "does not answer the user nobody" in await peers.refusal(uid)


# --- a whole daemon --------------------------------------------------------------

PATHS = ["/v2/", "/v2/curious/manifests/latest", "/api/v1/status", "/", "/metrics"]
EACH = f"""
for path in {PATHS}:
    with socket.socket() as sock:
        sock.connect(here)
        sock.sendall(ask.replace(b"/v2/", path.encode()))
        print(path, sock.makefile().readline().split()[1])
"""


def test_a_stranger_gets_nothing_from_a_daemon(target):
    """Neither the registry, the API, nor the page; on the mirror's port neither."""
    for port in (target.port, target.daemon.mirror.port):
        said = child("", port, then=EACH)
        assert said.splitlines() == [f"{path} 403" for path in PATHS]
    said = child("", target.port, 0, then=EACH)
    assert said.splitlines() == [f"{path} 200" for path in PATHS]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("curl -sS --fail-with-body http://{}/v2/curious/manifests/latest", "nobody"),
        # Debian 12's says no more of a 403; 13's has all that it was told.
        (
            "skopeo inspect --raw --tls-verify=false docker://{}/curious",
            "Forbidden|denied: this daemon does not answer the user nobody",
        ),
    ],
)
def test_a_strangers_client_is_refused(target, command, told):
    """The owner's same command works: it is the user who is refused."""
    for port in (target.port, target.daemon.mirror.port):
        words = command.format(f"localhost:{port}").split()
        environ = environment(HOME="/nonexistent", XDG_RUNTIME_DIR=None)
        done = run([*STRANGER, *words], environ)
        assert done.returncode != 0
        assert re.search(told, done.stdout)
    words = command.format(f"localhost:{target.port}").split()
    assert run(words, environ).returncode == 0


# --- the setting -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "uids"),
    [
        ("", frozenset()),
        ('users = "all"', None),
        ('users = ["nobody", 1234]', frozenset({NOBODY, 1234})),
    ],
)
def test_users_are_named_or_numbered(tmp_path, text, uids):
    (tmp_path / "config.toml").write_text(text)
    assert load_settings(tmp_path / "config.toml", {}).user_ids == uids


@pytest.mark.parametrize(
    ("value", "uids"),
    [("all", None), ("nobody", frozenset({NOBODY})), ("nobody,12", {NOBODY, 12})],
)
def test_users_are_a_variable_too(value, uids):
    assert load_settings(None, {"NIXERYD_USERS": value}).user_ids == uids


@pytest.mark.parametrize("text", ['users = ["nosuchuser"]', 'users = "none"'])
def test_an_unknown_user_is_a_mistake(tmp_path, text):
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(ConfigError, match="users"):
        load_settings(tmp_path / "config.toml", {})


# --- the kernel ------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_kernel_tells_who_is_at_the_other_end(kernel, address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:
        assert kernel.sees(listener)
        client = socket.create_connection(listener.getsockname()[:2])
        with listener.accept()[0] as sock:
            assert kernel.peer_uid(sock) == os.geteuid()
            client.close()
            with pytest.raises(PeerGoneError):
                kernel.peer_uid(sock)


def test_a_socket_of_another_network_namespace_is_not_seen(kernel, caplog):
    """As a systemd of the host hands one to a container: then all are answered."""
    mine, theirs = socket.socketpair()
    code = (
        "import ctypes, socket, sys\n"
        "assert ctypes.CDLL(None).unshare(0x40000000) == 0\n"
        "listener = socket.socket(); listener.bind(('', 0)); listener.listen()\n"
        f"pipe = socket.socket(fileno={theirs.fileno()})\n"
        "socket.send_fds(pipe, [b'x'], [listener.fileno()])\n"
    )
    with mine, theirs:
        subprocess.run(
            [sys.executable, "-c", code], check=True, pass_fds=[theirs.fileno()]
        )
        _, (fd,), _, _ = socket.recv_fds(mine, 1, 1)
        with socket.socket(fileno=fd) as listener:
            assert not kernel.sees(listener)
            peers = Peers(frozenset(), kernel)
            assert not peers.can_tell(listener)
            assert not peers.tells
            assert "every user of this machine is answered" in caplog.text


REDIRECTED = f"""\
import os, socket, subprocess, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from nixeryd.runtime.sockdiag import SockDiag
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
listener = socket.create_server(("127.0.0.1", 5000))
rule = "-t nat -A OUTPUT -o lo -p tcp --dport 80 -j REDIRECT --to-port 5000"
subprocess.run(["iptables", *rule.split()], check=True)
with SockDiag() as kernel:
    for uid in (0, {NOBODY}):
        os.seteuid(uid)
        client = socket.socket()
        client.connect(("127.0.0.1", 80))
        os.seteuid(0)
        print("uid", kernel.peer_uid(listener.accept()[0]))
"""


def test_who_is_redirected_by_the_firewall_is_told():
    """The other end of such a connection goes by where it wanted to go."""
    need("unshare", "ip", "iptables", root=True)
    done = run(["unshare", "--net", sys.executable, "-c", REDIRECTED])
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines() == ["uid 0", f"uid {NOBODY}"]


def test_who_listens_is_told(kernel):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        end = End.of(socket.AF_INET, listener.getsockname())
        assert kernel.listening(end).uid == os.geteuid()
    assert kernel.listening(end) is None
