"""Run one command (Nix, git), and leave no process behind.

The law: a command ends with its caller. On cancellation its whole process
group is told to stop, killed if it does not, and reaped. Standard output is
read whole but bounded; standard error is streamed by lines and its tail kept. One
that talks without end is ended, and one that talks fast has to wait for the others.

Knows nothing of what the commands mean.
"""

import math
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

from nixeryd.images.errors import NixerydError
from nixeryd.runtime.text_lines import TextLines

LineCallback = Callable[[str], None]

_MAX_STDOUT = 256 * 2**20  # bytes; the closure of a desktop is some 20 MB of JSON
_MAX_STDERR = 512 * 2**20  # bytes; Nix's JSON of the largest builds' logs has half
_TAIL_LINES = 200
_TAIL_LINE = 16 * 2**10  # characters
_CHUNK = 64 * 2**10
_SLICE = 0.003  # seconds of handling lines before others have their turn
# Nix ends its builders when it is told to stop, and needs a moment for it.
_GRACE = 5.0  # seconds from SIGTERM to SIGKILL

# Ours by socket activation and systemd; a child must not take them for its own.
_NOT_INHERITED = ("LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "NOTIFY_SOCKET")


class CommandFailed(NixerydError):  # noqa: N818  what happened, not what it is
    """A command ended with an error; `stderr` holds its last lines as written."""

    def __init__(self, program: str, status: int, stderr: Sequence[str]) -> None:
        super().__init__(f"{program} failed with exit status {status}")
        self.program = program
        self.status = status
        self.stderr = tuple(stderr)


class TalksWithoutEnd(NixerydError):  # noqa: N818  what happened, not what it is
    """A command wrote more to standard error than anybody reads, and was ended."""

    def __init__(self, program: str) -> None:
        super().__init__(f"{program} wrote more than {_MAX_STDERR >> 20} MiB of log")


class CannotRun(NixerydError):  # noqa: N818  what happened, not what it is
    """A command could not be started; it may be otherwise in a moment."""

    is_transient = True


async def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    without: Collection[str] = (),
    on_stderr_line: LineCallback | None = None,
) -> bytes:
    """Run a command to its end; give its stdout.

    `environment` adds to our own, of which the variables `without` are left out.

    Raises `CommandFailed` if it fails, `CannotRun` if it cannot be started,
    `TalksWithoutEnd`, and `NixerydError` if it says more than 256 MiB.
    """
    left_out = {*_NOT_INHERITED, *without}
    inherited = {k: v for k, v in os.environ.items() if k not in left_out}
    try:
        process = await trio.lowlevel.open_process(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**inherited, **environment},
        )
    except OSError as error:
        raise CannotRun(f"{command[0]} cannot be run: {error.strerror}") from error

    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    stdout = bytearray()
    heard = _Heard(tail, on_stderr_line)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_read_lines, process, heard, nursery.cancel_scope)
            nursery.start_soon(_read_bounded, process, stdout)
            await process.wait()
            if process.returncode:
                # What it left running may hold the pipes open for ever.
                nursery.cancel_scope.deadline = trio.current_time() + 1
    finally:
        with trio.move_on_after(2 * _GRACE, shield=True):
            await _end(process)

    program = Path(command[0]).name
    if len(stdout) > _MAX_STDOUT:
        raise NixerydError(f"{program} wrote more than {_MAX_STDOUT >> 20} MiB")
    if heard.size > _MAX_STDERR:
        raise TalksWithoutEnd(program)
    if process.returncode:
        raise CommandFailed(program, process.returncode, tail)
    return bytes(stdout)


async def _read_bounded(process: trio.Process, into: bytearray) -> None:
    assert process.stdout is not None  # noqa: S101  opened with PIPE
    while chunk := await process.stdout.receive_some(_CHUNK):
        into += chunk
        if len(into) > _MAX_STDOUT:
            _signal_group(process, signal.SIGKILL)
            return


@dataclass(slots=True)
class _Heard:
    """What a command said on standard error: the last lines, and how many bytes."""

    tail: deque[str]
    callback: LineCallback | None
    size: int = 0

    def add(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\r")
        self.tail.append(text[:_TAIL_LINE])
        if self.callback is not None:
            self.callback(text)


async def _read_lines(
    process: trio.Process, heard: _Heard, running: trio.CancelScope
) -> None:
    assert process.stderr is not None  # noqa: S101  opened with PIPE
    lines = TextLines()
    while chunk := await process.stderr.receive_some(_CHUNK):
        heard.size += len(chunk)
        if heard.size > _MAX_STDERR:
            if running.deadline == math.inf:
                _signal_group(process, signal.SIGTERM)
                running.deadline = trio.current_time() + _GRACE
            continue  # it may have to say something before it can end
        until = time.perf_counter() + _SLICE
        for line in lines.feed(chunk):
            heard.add(line)
            if time.perf_counter() > until:
                await trio.lowlevel.checkpoint()
                until = time.perf_counter() + _SLICE
    for line in lines.end():
        heard.add(line)


async def _end(process: trio.Process) -> None:
    """Stop the group if it still runs, reap the child, close the pipes."""
    if process.returncode is None:
        _signal_group(process, signal.SIGTERM)
        with trio.move_on_after(_GRACE):
            await process.wait()
        _signal_group(process, signal.SIGKILL)
        await process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            await pipe.aclose()


def _signal_group(process: trio.Process, number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass  # all of them are gone
    except PermissionError:
        process.send_signal(number)  # a member runs as a build user
