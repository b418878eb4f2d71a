"""Child processes of a test: their output as it comes, and their orderly end.

Nothing here waits by sleeping: a line that is awaited wakes the waiter, and so
does the end of the process. Only what was started here is ended, by its pid.
"""

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PATIENCE = 120
"""Seconds until a wait is given up: far more than a slow machine needs."""


class Process:
    """A started program; its lines (both streams) are read by a thread."""

    def __init__(
        self, argv: Sequence[str | Path], environ: Mapping[str, str] | None = None
    ) -> None:
        self.argv = [str(word) for word in argv]
        self.lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._popen = subprocess.Popen(
            self.argv,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # a Ctrl-C at the terminal is pytest's alone
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._popen.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for_line(self, pattern: str) -> re.Match[str]:
        """Wait until a line matches; fails if the program ends before."""
        seen = 0

        def found() -> bool:
            nonlocal seen, match
            while match is None and seen < len(self.lines):
                match = re.search(pattern, self.lines[seen])
                seen += 1
            return match is not None or self._ended

        match = None
        with self._changed:
            self._changed.wait_for(found, PATIENCE)
        assert match is not None, f"no line /{pattern}/ from {self}"
        return match

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Poll for what a program does not announce; fails if it ends before."""
        deadline = time.monotonic() + PATIENCE
        while not ready():
            assert time.monotonic() < deadline, f"never ready: {self}"
            try:
                self._popen.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"ended before it was ready: {self}")

    def send(self, sent: signal.Signals) -> None:
        """Send a signal and do not wait for what it does."""
        self._popen.send_signal(sent)

    def end(self, sent: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, give the exit code.

        A program that does not end is killed, which fails the test that cares
        for the exit code (-9).
        """
        if self._popen.poll() is None:
            self._popen.send_signal(sent)
        return self.wait()

    def wait(self) -> int:
        """Wait for the program to end by itself, give its exit code."""
        try:
            code = self._popen.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            code = self._popen.wait()
        self._reader.join(timeout=PATIENCE)
        self._popen.stdout.close()
        return code

    def kill(self) -> None:
        """End the program as a power cut would."""
        self.end(signal.SIGKILL)

    def __str__(self) -> str:
        return f"{' '.join(self.argv)}\n{self.output}"


def run(
    argv: Sequence[str | Path], environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a client to its end; both streams are in the result's stdout."""
    return subprocess.run(
        [str(word) for word in argv],
        env=None if environ is None else dict(environ),
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE * 2,
    )


def unmount_below(directory: Path) -> None:
    """Unmount what a container engine left mounted, deepest first."""
    mounts = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place = Path(line.split()[4].encode().decode("unicode_escape"))
        if place.is_relative_to(directory) and place != directory:
            mounts.append(place)
    for place in sorted(mounts, key=lambda place: len(place.parts), reverse=True):
        subprocess.run(["umount", "--lazy", place], check=False)


def bare_environment(**more: str) -> dict[str, str]:
    """Only what a child needs to run this very code, measured if we are."""
    kept = ("PATH", "PYTHONPATH", "COVERAGE_PROCESS_CONFIG")
    return {name: os.environ[name] for name in kept if name in os.environ} | more


def environment(**changes: str | None) -> dict[str, str]:
    """Copy this process's environment with changes; None takes one away."""
    merged = os.environ | {k: v for k, v in changes.items() if v is not None}
    return {k: v for k, v in merged.items() if changes.get(k, v) is not None}
