"""Starting: what the daemon says, and why it does not start when it can't."""

import re
import shutil
import signal
import socket
from pathlib import Path

import pytest

from tests.e2e.conftest import need
from tests.e2e.serving import Daemon, data_dir, serving, start


def refusal(place: Path, *flags: str | Path, **keywords) -> str:
    """Start a daemon that must not start; give what it says, which is short."""
    process = start(place, *flags, **keywords)
    assert process.wait() == 1, process
    assert "Traceback" not in process.output
    return process.output


def test_it_says_what_it_serves_and_gives_a_line_to_paste(daemon: Daemon):
    said = daemon.process.output
    assert re.search(rf"docker run .*localhost:{daemon.port}/\w+", said)
    assert "demo" in said


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_well_when_told_to(tmp_path: Path, sent: signal.Signals):
    with serving(tmp_path) as daemon:
        assert daemon.process.end(sent) == 0, daemon.process


def test_two_daemons_do_not_share_a_data_directory(tmp_path: Path):
    with serving(tmp_path) as daemon:
        said = refusal(tmp_path)
        assert str(data_dir(tmp_path)) in said
        assert "--data-dir" in said
        assert daemon.ask("/v2/").status == 200


def test_a_taken_port_is_named(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refusal(tmp_path, f"--listen=127.0.0.1:{port}")
    assert f"port {port} is taken" in said


def test_others_are_not_served_unless_asked_for(tmp_path: Path):
    said = refusal(tmp_path, "--listen=0.0.0.0:0")
    assert "--allow-remote" in said


def test_a_source_that_is_not_there_is_named(tmp_path: Path):
    gone = tmp_path / "gone"
    said = refusal(tmp_path, f"--nixpkgs={gone}")
    assert str(gone) in said


def test_a_wrong_setting_is_named_with_its_file(tmp_path: Path):
    config = tmp_path / "config.toml"
    config.write_text('lisen = "127.0.0.1:1"\n')
    said = refusal(tmp_path, f"--config={config}")
    assert str(config) in said
    assert "did you mean 'listen'?" in said


def test_without_nix_it_says_how_to_get_it(tmp_path: Path):
    need("unshare", root=True)
    # /usr/bin is searched even if it is not on PATH: hide the program itself.
    hide = f'mount --bind /dev/null {shutil.which("nix")} && exec "$@"'
    prefix = ("unshare", "--mount", "sh", "-c", hide, "sh")
    said = refusal(tmp_path, prefix=prefix, environ={"PATH": "/usr/bin:/bin"})
    assert "Nix was not found" in said
    assert "https://nixos.org/download" in said
