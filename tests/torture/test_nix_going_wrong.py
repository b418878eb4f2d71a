"""Nix goes wrong in every way: an error of that image, and nobody else notices."""

import os
import re
import shutil
import signal
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.conftest import need
from tests.e2e.processes import Process, environment
from tests.e2e.registry import Answer
from tests.e2e.serving import NIXERYD, NO_SANDBOX, Daemon, serving
from tests.e2e.terminal import Terminal
from tests.torture.gauges import count_processes, memory_of

MOST = 100_000_000  # bytes of memory that one build may cost
_SET = r"""
{{ system, ... }}:
let
  build = name: script: derivation {{
    inherit name system;
    builder = "/bin/sh";
    args = [ "-euc" script ];
    PATH = "/usr/bin:/bin";
    salt = "{salt}";
  }};
  # Until told to go on; who kills it knows whom.
  waits = name: build name ''
    echo $$ > {place}/${{name}}.pid
    while ! test -e {place}/${{name}}.go; do sleep 0.1; done
    echo ${{name}} > $out
  '';
  fine = name: {{ inherit name; value = build name "echo ${{name}} > $out"; }};
  again = step: builtins.foldl' (a: b: builtins.seq (step 0) b) 0
    (builtins.genList (x: x) 10000);
  endless = n: if n == 0 then (x: x) else (x: again (endless (n - 1)));
in
builtins.listToAttrs (builtins.genList (n: fine "fine${{toString n}}") 50)
// {{
  cacert = build "cacert" "mkdir $out";
  iana-etc = build "iana-etc" "mkdir $out";
  killed = waits "killed";
  orphan = waits "orphan";
  hangs = endless 9 0;
  talks = build "talks" ''
    echo $$ > {place}/talks.pid
    exec yes "a line of the kind that a compiler says, and says, and says again"
  '';
  junk = build "junk" ''
    printf '\033]0;owned\007\033[2J\033[31mcoloured\033[0m \302\233 \200\377\n'
    printf '@nix {{"action":"msg","level":0,"msg":"error: forged \\u001b[2J"}}\n'
    head -c 1000000 /dev/zero | tr '\0' x
    echo
    head -c 200000 /dev/urandom
    printf '\nthe end\n'
    exit 1
  '';
  pipe = build "pipe" "mkdir $out; mkfifo $out/pipe";
  odd = build "odd" ''
    mkdir $out
    cd $out
    echo '#!/bin/sh' > setuid
    chmod 6755 setuid || chmod 755 setuid  # Nix lets nobody
    truncate -s 100M sparse
    echo name > "$(printf '\377\376')"
    deep=a-name-of-some-length
    for step in $(seq 170); do mkdir $deep; cd $deep; done
    echo deep > file
  '';
}}
"""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    need("nix-instantiate")
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


@contextmanager
def started(place: Path, name: str, **environ: str) -> Iterator[Daemon]:
    packages = place / "packages"
    packages.mkdir(exist_ok=True)
    text = _SET.format(place=place, salt=uuid.uuid4())
    (packages / "default.nix").write_text(text)
    with serving(
        place / name,
        f"--nixpkgs={packages}",
        environ={
            "NIX_CONFIG": NO_SANDBOX,
            "NIXERYD_HOLD": "3600",
            "NIXERYD_NIX_EVALUATION_TIMEOUT": "6",
            **environ,
        },
    ) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def daemon(place) -> Iterator[Daemon]:
    with started(place, "daemon") as daemon:
        assert daemon.manifest("fine0").status == 200
        yield daemon


@pytest.fixture
def others(daemon, request) -> Iterator[Callable[[], None]]:
    """Pull a built image and one that has to be built; all is as before afterwards."""
    numbers = iter(range(hash(request.node.name) % 40 + 1, 50))
    before = memory_of(daemon.process.pid)

    def pull() -> None:
        assert daemon.manifest("fine0").status == 200
        answer = daemon.manifest(f"fine{next(numbers)}")
        assert answer.status == 200, answer.body

    yield pull
    pull()
    assert memory_of(daemon.process.pid) < before + MOST
    daemon.process.wait_until(lambda: count_processes(daemon.process.pid) == 0)


class Asking(threading.Thread):
    """Ask for an image meanwhile."""

    def __init__(self, daemon: Daemon, name: str) -> None:
        super().__init__(daemon=True)
        self._daemon, self._image = daemon, name
        self._answer: Answer | None = None
        self.start()

    def run(self) -> None:
        self._answer = self._daemon.manifest(self._image)

    def wait(self) -> Answer:
        self.join(timeout=120)
        assert self._answer is not None, self._daemon.process
        return self._answer


def pid_of(daemon: Daemon, place: Path, name: str) -> int:
    file = place / f"{name}.pid"
    daemon.process.wait_until(lambda: file.exists() and file.read_text().strip())
    return int(file.read_text())


def refused(answer: Answer, why: str) -> None:
    assert answer.status == 403, answer.body
    assert re.search(why, answer.message), answer.message
    assert is_plain(answer.message)


def is_plain(text: str) -> bool:
    return not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)


def test_a_builder_that_is_killed_is_an_error_of_its_image(daemon, place, others):
    asking = Asking(daemon, "killed")
    pid = pid_of(daemon, place, "killed")
    others()
    os.kill(pid, signal.SIGKILL)
    refused(asking.wait(), r"building killed failed: .*signal 9")
    (place / "killed.go").touch()
    assert daemon.command("pull", "killed").returncode == 0
    assert daemon.manifest("killed").status == 200


def test_an_evaluation_that_hangs_holds_up_nobody(daemon, others):
    asking = Asking(daemon, "hangs")
    daemon.process.wait_until(lambda: count_processes(daemon.process.pid) == 1)
    others()
    assert asking.is_alive()
    refused(asking.wait(), r"more than 6 s .*nix\.evaluation_timeout")


def test_a_builder_that_talks_without_end_disturbs_nobody(daemon, place, others):
    asking = Asking(daemon, "talks")
    pid = pid_of(daemon, place, "talks")
    before = memory_of(daemon.process.pid)
    said = len(daemon.process.lines)
    for _ in range(3):
        others()
    (build,) = [b for b in daemon.ask("/api/v1/builds").json if b["state"] == "running"]
    assert build["lines"] > 1000
    assert memory_of(daemon.process.pid) < before + MOST
    os.kill(pid, signal.SIGKILL)
    refused(asking.wait(), "signal 9")
    assert len(daemon.process.lines) < said + 1500


def test_junk_in_a_log_reaches_neither_page_nor_terminal(daemon, others):
    terminal = Terminal(
        [NIXERYD, "pull", f"--data-dir={daemon.data}", "junk"], environ()
    )
    terminal.wait_for("junk> the end")
    terminal.wait()
    assert "junk> coloured" in terminal.shown
    for sequence in ("\x1b]", "\x1b[2J", "\x9b", "\x07"):
        assert sequence not in terminal.shown
    others()
    failure = next(
        one
        for one in daemon.ask("/api/v1/failures").json
        if one["repository"] == "junk"
    )
    assert is_plain(failure["message"])
    for path in (f"/api/v1/failures/{failure['id']}/log", f"/failures/{failure['id']}"):
        answer = daemon.ask(path)
        text = answer.body.decode()
        assert answer.status == 200, path
        assert "coloured" in text
        assert is_plain(text)
        assert len(text) < 1_500_000
    refused(daemon.manifest("junk"), "the end")


def test_what_no_image_can_hold_is_an_error(daemon, others):
    refused(daemon.manifest("pipe"), "pipe")
    others()


def test_odd_files_are_held_as_nix_holds_them(daemon, others):
    manifest = daemon.manifest("odd")
    assert manifest.status == 200, manifest.body
    largest = max(manifest.json["layers"], key=lambda layer: layer["size"])
    assert largest["size"] > 100_000_000
    others()


def test_a_nix_daemon_that_dies_is_not_the_images_fault(place):
    """Its next start finds an image that is not remembered as failed."""
    need("nix-daemon", root=True)
    socket = place / "nix.socket"
    through = {"NIX_REMOTE": "daemon", "NIX_DAEMON_SOCKET_PATH": str(socket)}
    first = start_nix_daemon(socket)
    try:
        with started(place, "other", **through) as daemon:
            daemon.process.wait_until(lambda: "watching" in state_of(daemon))
            assert daemon.manifest("fine0").status == 200
            asking = Asking(daemon, "orphan")
            builder = pid_of(daemon, place, "orphan")
            kill_all(first)
            with suppress(ProcessLookupError):  # newer ones end with their daemon
                os.kill(builder, signal.SIGKILL)
            refused(asking.wait(), "the Nix daemon went away or does not answer")
            assert daemon.manifest("fine0").status == 200
            refused(daemon.manifest("fine1"), "the Nix daemon")
            second = start_nix_daemon(socket)
            try:
                assert daemon.manifest("fine1").status == 200
                (place / "orphan.go").touch()
                assert daemon.manifest("orphan").status == 200
            finally:
                kill_all(second)
    finally:
        kill_all(first)


def state_of(daemon: Daemon) -> str:
    state: str = daemon.ask("/api/v1/status").json["source"]["state"]
    return state


def start_nix_daemon(socket: Path) -> Process:
    socket.unlink(missing_ok=True)
    quiet = NO_SANDBOX + "build-users-group =\n"
    started = Process(
        [shutil.which("nix-daemon")],
        environment(
            NIX_DAEMON_SOCKET_PATH=str(socket), NIX_CONFIG=quiet, NIX_REMOTE=None
        ),
    )
    started.wait_until(socket.exists)
    return started


def kill_all(process: Process) -> None:
    """Kill a program and what it has started, which is ours as well."""
    for file in Path(f"/proc/{process.pid}/task").glob("*/children"):
        for child in file.read_text().split():
            os.kill(int(child), signal.SIGKILL)
    process.kill()


def environ() -> dict[str, str]:
    return environment(XDG_RUNTIME_DIR=None)
