"""Other users of this machine: what they put in our way is neither used nor harmed."""

import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from nixeryd.config.settings import ConfigError, Settings, load_settings
from nixeryd.daemon.listeners import open_listeners
from nixeryd.store.datadir import DataDirError, open_data_dir
from nixeryd.web.listen import ListenError, open_unix
from tests.e2e.processes import Process, environment, run
from tests.e2e.serving import NIXERYD

NOBODY = 65534
STRANGER = f"""\
import os, socket, sys
os.setgroups([])
os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
os.umask(0)
path = sys.argv[1]
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be two users")


def as_stranger(code: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run Python as another user, who has `path`."""
    return run([sys.executable, "-c", STRANGER + code, path])


@pytest.fixture
def shared():
    """A directory like /tmp, in which everybody may make what they like."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o1777)
        yield Path(name)


@pytest.fixture
def home(tmp_path):
    """Of the user whose daemon it is; with something precious in it."""
    home = tmp_path / "home"
    (home / "staging").mkdir(parents=True)
    (home / "staging" / "precious").write_text("all of it")
    return home


def is_untouched(home: Path) -> bool:
    return [str(one.relative_to(home)) for one in sorted(home.rglob("*"))] == [
        "staging",
        "staging/precious",
    ]


def refused_data_dir(root: Path) -> str:
    with pytest.raises(DataDirError) as caught, open_data_dir(root):
        pass
    return str(caught.value)


def test_a_data_directory_that_somebody_else_made_is_refused(shared):
    data = shared / "data"
    assert as_stranger("os.mkdir(path)", data).returncode == 0
    assert "belongs to the user nobody" in refused_data_dir(data)
    assert list(data.iterdir()) == []


def test_a_link_that_somebody_else_made_is_not_followed(shared, home):
    data = shared / "data"
    code = f"os.symlink({str(home)!r}, path)"
    assert as_stranger(code, data).returncode == 0
    assert "is a link that the user nobody made" in refused_data_dir(data)
    assert is_untouched(home)


def test_a_link_of_ones_own_is_followed(shared, tmp_path):
    (shared / "data").symlink_to(tmp_path)
    with open_data_dir(shared / "data") as places:
        assert places.staging.is_dir()
    assert (tmp_path / "blobs").is_dir()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775, 0o702])
def test_a_data_directory_that_others_can_write_is_refused(tmp_path, mode):
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(mode)
    assert f"chmod go-w {data}" in refused_data_dir(data)


@pytest.mark.parametrize("place", ["staging", "blobs"])
def test_nothing_is_removed_through_a_link(tmp_path, home, place):
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / place).symlink_to(home / "staging")
    assert "is a link" in refused_data_dir(data)
    assert is_untouched(home)


def test_nobody_else_can_plant_or_read_anything(shared):
    data = shared / "data"
    with open_data_dir(data) as places:
        (places.staging / "blob").write_bytes(b"on its way")
        for code in (
            "open(path + '/staging/planted', 'w')",
            "os.mkdir(path + '/blobs/sha256/ab')",
            "open(path + '/staging/blob').read()",
            "os.listdir(path)",
            "os.rename(path, path + '-mine')",
        ):
            done = as_stranger(code, data)
            assert done.returncode == 1
            assert "PermissionError" in done.stdout or "not permitted" in done.stdout


def test_a_planted_staging_file_is_swept_and_a_planted_link_with_it(tmp_path, home):
    with open_data_dir(tmp_path / "data") as places:
        planted = places.staging / "planted"
        planted.write_bytes(b"not ours")
        (places.staging / "link").symlink_to(home / "staging" / "precious")
    with open_data_dir(tmp_path / "data") as places:
        assert list(places.staging.iterdir()) == []
    assert is_untouched(home)


# --- the admin socket ------------------------------------------------------------


def test_a_stranger_does_not_get_in_by_the_admin_socket(shared):
    path = shared / "admin.sock"
    code = "socket.socket(socket.AF_UNIX).connect(path)"
    with open_unix(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "PermissionError" in as_stranger(code, path).stdout


def test_a_runtime_directory_that_somebody_else_made_is_refused(shared):
    runtime = shared / "nixeryd"
    assert as_stranger("os.mkdir(path)", runtime).returncode == 0
    settings = Settings(listen=(), mirror_listen=())
    with (
        pytest.raises(ListenError, match="belongs to the user nobody"),
        open_listeners(settings, runtime / "admin.sock"),
    ):
        pass
    assert list(runtime.iterdir()) == []


async def test_a_socket_that_somebody_else_made_is_not_taken(shared):
    path = shared / "admin.sock"
    code = "socket.socket(socket.AF_UNIX).bind(path)"
    assert as_stranger(code, path).returncode == 0
    with pytest.raises(ListenError, match="belongs to another user"), open_unix(path):
        pass
    assert path.lstat().st_uid == NOBODY


def test_a_command_tells_a_strangers_socket_nothing(shared):
    data = shared / "data"
    data.mkdir()
    with socket.socket(socket.AF_UNIX) as squatter:
        squatter.bind(str(data / "admin.sock"))
        squatter.listen()
        squatter.settimeout(0)
        # For root all are its own: so the one who asks is nobody, and this is root's…
        os.chown(data / "admin.sock", NOBODY - 1, NOBODY - 1)
        (data / "admin.sock").chmod(0o777)
        done = run([sys.executable, "-c", AS_NOBODY, data], CLEAN)
        assert done.returncode == 3, done.stdout
        assert "belongs to another user" in done.stdout
        with pytest.raises(BlockingIOError):
            squatter.accept()


def test_a_command_tells_a_listener_of_somebody_else_nothing(shared):
    """The file of the socket is ours, and still somebody else listens."""
    data = shared / "data"
    data.mkdir(mode=0o777)
    data.chmod(0o777)
    code = STRANGER.replace(str(NOBODY), str(NOBODY - 1)) + (
        "sock = socket.socket(socket.AF_UNIX)\n"
        "sock.bind(path); sock.listen(); sock.settimeout(30)\n"
        "print('ready', flush=True)\n"
        "print(sock.accept()[0].recv(100), flush=True)\n"
    )
    path = data / "admin.sock"
    squatter = Process([sys.executable, "-c", code, path])
    try:
        squatter.wait_for_line("ready")
        os.chown(path, NOBODY, NOBODY)
        done = run([sys.executable, "-c", AS_NOBODY, data], CLEAN)
        assert done.returncode == 3, done.stdout
        assert "belongs to another user" in done.stdout
        squatter.wait_for_line("^b''$")
    finally:
        squatter.end()


CLEAN = environment(HOME="/nowhere", XDG_RUNTIME_DIR=None, XDG_CONFIG_HOME=None)
# The first call imports all that the second needs: nobody may not read this project.
AS_NOBODY = f"""\
import contextlib, io, os, sys
from nixeryd.cli import main
data = sys.argv[1]
sys.argv = ["nixeryd", "status", "--data-dir=/nowhere"]
with contextlib.suppress(SystemExit), contextlib.redirect_stderr(io.StringIO()):
    main()
os.setgroups([])
os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
sys.argv = ["nixeryd", "status", f"--data-dir={{data}}"]
main()
"""


# --- the configuration -----------------------------------------------------------


def test_a_configuration_that_anyone_can_write_is_refused(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('[sources.nixpkgs]\npath = "/tmp/theirs"\n')
    file.chmod(0o666)
    with pytest.raises(ConfigError, match="can be written by anyone: chmod go-w"):
        load_settings(file, environ={})
    file.chmod(0o644)
    assert load_settings(file, environ={}).sources


@pytest.mark.parametrize(
    "source",
    [
        'git = "https://me:hunter2@git.example/nixpkgs"',
        'channel = "https://hunter2@example.org/nixpkgs.tar.gz"',
        'flake = "git+https://me:hunter2@git.example/app"',
    ],
)
def test_no_secret_stands_where_others_may_read_it(tmp_path, source):
    file = tmp_path / "config.toml"
    file.write_text(f"[sources.work]\n{source}\n")
    done = run([NIXERYD, "config", "check", file], CLEAN)
    assert done.returncode == 1
    assert "holds a login" in done.stdout
    assert "hunter2" not in done.stdout
