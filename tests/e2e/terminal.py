"""A program on a terminal of its own, as a person sees and types it."""

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.e2e.processes import PATIENCE


class Terminal:
    """A started program; what it shows is read by whoever waits for something."""

    def __init__(self, argv: Sequence[str | Path], environ: Mapping[str, str]) -> None:
        self._fd, its_end = pty.openpty()
        self._popen = subprocess.Popen(
            [str(word) for word in argv],
            env=dict(environ, TERM="xterm"),
            stdin=its_end,
            stdout=its_end,
            stderr=its_end,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509  no threads use this
        )
        os.close(its_end)
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Read until the terminal shows this; fails if the program ends before."""
        deadline = time.monotonic() + PATIENCE
        while (match := re.search(pattern, self.shown)) is None:
            assert time.monotonic() < deadline, self.shown
            assert self._read(deadline), f"ended before /{pattern}/:\n{self.shown}"
        return match

    def wait(self) -> int:
        """Read until the program ends; give its exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            assert time.monotonic() < deadline, self.shown
        return self._popen.wait(PATIENCE)

    def close(self) -> None:
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGKILL)
            self._popen.wait()
        os.close(self._fd)

    def _read(self, deadline: float) -> bool:
        readable, _, _ = select.select([self._fd], [], [], deadline - time.monotonic())
        try:
            data = os.read(self._fd, 65536) if readable else b""
        except OSError:  # EIO: nobody has the other end any more
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)


def _take_terminal() -> None:
    """Make standard input the controlling terminal, so that Ctrl-C is a signal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
