"""A build that takes longer than clients wait: they are led round until it ends."""

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e.engines import Docker, Podman, Skopeo
from tests.e2e.processes import Process
from tests.e2e.serving import ODD, PACKAGES, note_nix_calls, serving

HOLD = 0.4  # seconds a request is held; nine hops of it are less than the build
BUILD = 7
SET = """\
arguments:
let set = import {packages} arguments; in
set // {{
  slow = derivation (set.slow.drvAttrs // {{
    nonce = "{nonce}";
    args = [ "-euc" "while ! test -e {gate}; do sleep 0.1; done; {last}" ];
  }});
}}
"""


def write_set(place: Path, last: str) -> Path:
    source = place / "slow-set"
    source.mkdir()
    (source / "default.nix").write_text(
        SET.format(
            packages=PACKAGES, nonce=uuid.uuid4(), gate=place / "gate", last=last
        )
    )
    return source


def test_real_clients_wait_for_a_build_however_long(
    tmp_path: Path, docker: Docker, podman: Podman, skopeo: Skopeo
):
    source = write_set(tmp_path, "mkdir $out; echo slow > $out/slow")
    nix_log = note_nix_calls(tmp_path / "noted")
    environ = {**ODD, **nix_log.environ, "NIXERYD_HOLD": str(HOLD)}
    with serving(tmp_path, f"--nixpkgs={source}", environ=environ) as daemon:
        image = f"{daemon.address}/slow"
        clients = [
            lambda: docker("pull", image),
            lambda: podman("pull", "--tls-verify=false", image),
            lambda: skopeo("inspect", "--tls-verify=false", f"docker://{image}"),
        ]
        opener = threading.Timer(BUILD, (tmp_path / "gate").touch)
        opener.start()
        began = time.monotonic()
        with ThreadPoolExecutor(len(clients)) as pool:
            ended = list(pool.map(lambda client: client(), clients))
        waited = time.monotonic() - began
    for client in ended:
        assert client.returncode == 0, client.stdout
    assert waited > 10 * HOLD, "or the last hop was never seen"
    assert len(nix_log.builds) == 1, nix_log.calls


def test_a_client_that_is_killed_finds_its_build_again(tmp_path: Path, docker: Docker):
    source = write_set(tmp_path, "mkdir $out; echo slow > $out/slow")
    nix_log = note_nix_calls(tmp_path / "noted")
    environ = {**ODD, **nix_log.environ}
    with serving(tmp_path, f"--nixpkgs={source}", environ=environ) as daemon:
        image = f"{daemon.address}/slow"
        client = Process(["docker", "pull", image], docker.environ)
        client.wait_until(lambda: bool(nix_log.builds))
        client.kill()
        (tmp_path / "gate").touch()
        again = docker("pull", image)
        assert again.returncode == 0, again.stdout
    assert len(nix_log.builds) == 1, nix_log.calls


def test_a_build_that_fails_while_a_client_goes_round_is_told(
    tmp_path: Path, podman: Podman
):
    source = write_set(tmp_path, "echo the reason is this; exit 1")
    environ = {**ODD, "NIXERYD_HOLD": "1"}
    with serving(tmp_path, f"--nixpkgs={source}", environ=environ) as daemon:
        opener = threading.Timer(3, (tmp_path / "gate").touch)
        opener.start()
        pulled = podman("pull", "--tls-verify=false", f"{daemon.address}/slow")
    assert pulled.returncode != 0
    assert "the reason is this" in pulled.stdout
