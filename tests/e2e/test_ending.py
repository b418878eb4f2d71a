"""The end: nobody is kept waiting, nobody is lied to, nothing is left running."""

import http.client
import os
import select
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

from tests.e2e.processes import PATIENCE, environment, run
from tests.e2e.registry import Registry
from tests.e2e.serving import (
    NIXERYD,
    ODD,
    note_nix_calls,
    odd_source,
    serving,
    start,
)
from tests.e2e.test_waiting import write_set


def test_who_waits_for_a_build_is_sent_to_the_next_daemon(tmp_path: Path):
    source = write_set(tmp_path, "mkdir $out")
    log = note_nix_calls(tmp_path / "noted")
    environ = {**ODD, **log.environ}
    with serving(tmp_path, f"--nixpkgs={source}", environ=environ) as daemon:
        answers = []
        client = threading.Thread(
            target=lambda: answers.append(daemon.manifest("slow"))
        )
        client.start()
        daemon.process.wait_until(lambda: bool(log.builds))
        assert daemon.process.end() == 0, daemon.process
        client.join()
    assert [answer.status for answer in answers] == [307]
    assert answers[0].headers["location"].startswith("/v2/slow/manifests/latest?")


def test_a_build_is_finished_if_so_configured(tmp_path: Path):
    source = write_set(tmp_path, "mkdir $out")
    log = note_nix_calls(tmp_path / "noted")
    environ = {**ODD, **log.environ, "NIXERYD_FINISH_BUILDS": "true"}
    with serving(tmp_path, f"--nixpkgs={source}", environ=environ) as daemon:
        client = threading.Thread(target=daemon.manifest, args=["slow"])
        client.start()
        daemon.process.wait_until(lambda: bool(log.builds))
        daemon.process.send(signal.SIGTERM)
        client.join()  # sent away, while the build goes on
        (tmp_path / "gate").touch()
        assert daemon.process.wait() == 0, daemon.process
    assert "built" in daemon.process.output


def ask(registry: Registry, name: str) -> None:
    with suppress(OSError, http.client.HTTPException):
        registry.manifest(name)


def descendants(pid: int) -> set[int]:
    """Return a pidfd for each: a pid may be another's later."""
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found |= {os.pidfd_open(child), *descendants(child)}
    return found


def have_ended(processes: set[int], patience: float) -> bool:
    poll = select.poll()
    for process in processes:
        poll.register(process, select.POLLIN)
    deadline = time.monotonic() + patience
    while len(poll.poll(0)) < len(processes):
        if time.monotonic() > deadline:
            return False
        poll.poll(100)
    return True


def test_what_a_killed_daemon_left_running_is_ended_by_the_next(tmp_path: Path):
    source = write_set(tmp_path, "mkdir $out")
    log = note_nix_calls(tmp_path / "noted")
    flags = [tmp_path, f"--nixpkgs={source}"]
    killed = start(*flags, environ={**ODD, **log.environ})
    port = killed.wait_for_line(r"docker run .*localhost:(\d+)/")[1]
    client = threading.Thread(target=ask, args=[Registry(int(port)), "slow"])
    client.start()
    killed.wait_until(lambda: bool(log.builds))
    orphans = descendants(killed.pid)
    assert orphans
    killed.kill()
    client.join()
    assert not have_ended(orphans, 0)
    process = start(*flags, environ=ODD)
    process.wait_for_line("docker run")
    assert have_ended(orphans, PATIENCE)
    assert process.end() == 0, process
    for one in orphans:
        os.close(one)


def test_it_ends_when_nobody_needs_it(tmp_path: Path):
    with serving(tmp_path, environ={"NIXERYD_IDLE_EXIT": "1"}) as daemon:
        assert daemon.process.wait() == 0, daemon.process
    assert "nothing to do for 1 s" in daemon.process.output


def test_a_new_configuration_counts_from_the_next_request_on(tmp_path: Path):
    flags = odd_source(tmp_path)
    config = tmp_path / "config.toml"
    with serving(tmp_path, *flags, environ=ODD) as daemon:
        named = {"Host": "registry.test"}
        kept = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE)
        kept.connect()
        same = kept.sock
        assert daemon.ask("/v2/", headers=named).status == 403
        text = config.read_text()
        config.write_text(f'hosts = ["registry.test"]\noffline = true\n{text}')
        daemon.process.send(signal.SIGHUP)
        daemon.process.wait_for_line(r"reloaded.*hosts.*offline")
        kept.request("GET", "/v2/")
        assert kept.getresponse().status == 200
        assert kept.sock is same, "the connection was dropped"
        kept.close()
        assert daemon.ask("/v2/", headers=named).status == 200
        config.write_text(f"hots = []\n{text}")
        daemon.process.send(signal.SIGHUP)
        daemon.process.wait_for_line("did you mean 'hosts'")
        assert daemon.ask("/v2/", headers=named).status == 200


def test_a_reload_by_command_says_what_it_did(tmp_path: Path):
    flags = odd_source(tmp_path)
    config = tmp_path / "config.toml"
    with serving(tmp_path, *flags, environ=ODD) as daemon:
        text = config.read_text()
        config.write_text(f"idle_exit = 500\nallow_remote = true\n{text}")
        done = run(
            [NIXERYD, "config", "reload", f"--data-dir={daemon.data}"],
            environment(HOME=str(tmp_path)),
        )
        assert done.returncode == 0, done.stdout
        assert "idle_exit" in done.stdout
        assert "allow_remote needs a restart" in done.stdout
