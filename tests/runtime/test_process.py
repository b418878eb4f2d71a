import os
import time
from pathlib import Path

import pytest
import trio

from nixeryd.images.errors import NixerydError
from nixeryd.nix.process import Nix, NixFailed
from nixeryd.runtime import process, text_lines
from nixeryd.runtime.process import TalksWithoutEnd, run


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-euc", script]


async def test_stdout_is_returned_and_stderr_streamed_by_lines():
    lines = []
    said = await run(
        shell("printf 'a\\nb'; printf 'one\\ntwo\\r\\n\\377 end' >&2"),
        {},
        on_stderr_line=lines.append,
    )
    assert said == b"a\nb"
    assert lines == ["one", "two", "� end"]


async def test_a_failure_carries_status_and_last_lines():
    with pytest.raises(NixFailed) as caught:
        await run(shell("seq 300 >&2; exit 7"), {})
    assert caught.value.status == 7
    assert caught.value.program == "sh"
    assert caught.value.stderr[-1] == "300"
    assert len(caught.value.stderr) == 200


async def test_a_missing_program_is_an_error_that_names_it():
    with pytest.raises(NixerydError, match=r"/no/such/nix cannot be run"):
        await run(["/no/such/nix"], {})


async def test_sockets_and_notifications_of_systemd_are_not_handed_on(monkeypatch):
    for name in ("LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET"):
        monkeypatch.setenv(name, "1")
    said = (await run(["/usr/bin/env"], {"ADDED": "yes"})).decode()
    assert "ADDED=yes\n" in said
    assert "LISTEN" not in said
    assert "NOTIFY" not in said


async def test_a_line_without_end_is_cut():
    lines = []
    await run(
        shell("head -c 20000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo next >&2"),
        {},
        on_stderr_line=lines.append,
    )
    assert lines == ["x" * text_lines.LONGEST, "next"]


async def test_a_log_without_end_ends_the_command(monkeypatch):
    monkeypatch.setattr(process, "_MAX_STDERR", 2**20)
    lines = 0

    def count(_: str) -> None:
        nonlocal lines
        lines += 1

    with pytest.raises(TalksWithoutEnd, match="sh wrote more than 1 MiB of log"):
        await run(shell("yes hello >&2"), {}, on_stderr_line=count)
    assert lines <= 2**20 / len("hello\n")


async def test_a_log_without_end_of_what_does_not_want_to_end(monkeypatch):
    monkeypatch.setattr(process, "_MAX_STDERR", 2**20)
    monkeypatch.setattr(process, "_GRACE", 0.1)
    with pytest.raises(TalksWithoutEnd):
        await run(shell("trap '' TERM; yes hello >&2 || sleep 1000"), {})


async def test_who_talks_fast_lets_others_have_their_turns():
    """Handling a line may take a while; 64 KiB of them take too long."""
    turns = lines = 0

    def slow(_: str) -> None:
        nonlocal lines
        lines += 1
        time.sleep(0.001)

    async def other() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await run(shell("yes | head -c 1000 >&2"), {}, on_stderr_line=slow)
        nursery.cancel_scope.cancel()
    assert lines == 500
    assert turns > 500 / 4 / 2


async def test_too_much_output_ends_the_command(monkeypatch):
    monkeypatch.setattr(process, "_MAX_STDOUT", 2**20)
    with pytest.raises(NixerydError, match="sh wrote more than 1 MiB"):
        await run(shell("cat /dev/zero"), {})


async def test_a_failed_command_is_not_waited_for_by_what_it_left_running(tmp_path):
    # Holds both pipes for as long as it is not killed.
    pid = tmp_path / "pid"
    script = f"sleep 1000 & echo $! > {pid}; exit 1"
    try:
        with pytest.raises(NixFailed):
            await run(shell(script), {})
    finally:
        os.kill(int(pid.read_text()), 9)


@pytest.mark.parametrize(
    "trap",
    [
        pytest.param("", id="a group that stops when told"),
        pytest.param("trap '' TERM;", id="a group that does not"),
    ],
)
async def test_cancelling_ends_the_whole_group(trap, tmp_path, monkeypatch):
    monkeypatch.setattr(process, "_GRACE", 0.2)
    # All of the group hold the pipe for writing: its end is the end of them all.
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    started = trio.Event()
    script = f"exec 9>{fifo}; {trap} sleep 1000 & echo started >&2; wait"
    async with trio.open_nursery() as nursery:

        async def command():
            await run(shell(script), {}, on_stderr_line=lambda _: started.set())

        nursery.start_soon(command)
        await started.wait()
        with pytest.raises(BlockingIOError):
            os.read(reader, 1)
        nursery.cancel_scope.cancel()
    with trio.fail_after(10):
        stream = trio.lowlevel.FdStream(reader)
        assert await stream.receive_some() == b""
        await stream.aclose()


async def test_nix_runs_programs_of_its_directory_with_its_options():
    nix = Nix(Path("/bin"), (2, 8), options=("-a", "b"), environment={"X": "y"})
    assert await nix.run(["echo", "hello"]) == b"hello -a b\n"


@pytest.mark.parametrize(
    ("remote", "expected"),
    [("", False), ("daemon", False), ("ssh://there", True)],
)
def test_a_remote_store_is_known(remote, expected):
    nix = Nix(Path("/bin"), (2, 8), environment={"NIX_REMOTE": remote})
    assert nix.is_remote is expected
