"""A disk that can lose its power: `lossyfs`, mounted in a process of its own."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ctypes.util import find_library
from pathlib import Path

from nixeryd.runtime.orphans import MARK
from tests.e2e.processes import Process, environment

_ROOT = Path(__file__).parents[2]


def why_not() -> str | None:
    """Say why this machine cannot have such a disk; None if it can."""
    if not Path("/dev/fuse").exists():
        return "there is no /dev/fuse"
    if not shutil.which("fusermount3") or not find_library("fuse3"):
        return "fuse3 is not installed"
    return None


class LossyDisk:
    """What is mounted in a directory; what it loses follows from the seed, if any."""

    def __init__(self, mountpoint: Path, seed: int | None) -> None:
        self._mountpoint = mountpoint
        self._seed = seed
        self._image = mountpoint.with_name(f"{mountpoint.name}.image")
        self._cuts = 0
        self._server = self._mount()

    def _mount(self) -> Process:
        self._mountpoint.mkdir(exist_ok=True)
        seed = "merciless" if self._seed is None else f"{self._seed} {self._cuts}"
        program = (sys.executable, "-m", "tests.torture.lossyfs")
        server = Process(
            [*program, self._mountpoint, self._image, seed],
            environment(PYTHONPATH=str(_ROOT)),
        )
        server.wait_for_line("^mounted$")
        return server

    def cut_power(self) -> None:
        """Lose what is not safe, and come back; nothing that used it lives on."""
        _kill_those_of(self._mountpoint)
        self.unmount()
        self._cuts += 1
        self._server = self._mount()

    def unmount(self) -> None:
        # What a killed daemon left running may have a file open for a moment.
        done = subprocess.run(
            ["fusermount3", "-u", "-z", self._mountpoint],
            check=False,
            capture_output=True,
            text=True,
        )
        code = self._server.wait()
        if done.returncode or code:
            raise RuntimeError(
                f"the disk's server ended with {code}, fusermount3 with"
                f" {done.returncode} ({done.stderr.strip()}): {self._server}"
            )


def _kill_those_of(data: Path) -> None:
    """Kill what a daemon of this data directory has left running."""
    mark = f"{MARK}={data.resolve()}".encode()
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it is gone
            process = os.pidfd_open(int(place.name))
            try:
                if mark in (place / "environ").read_bytes().split(b"\0"):
                    signal.pidfd_send_signal(process, signal.SIGKILL)
            finally:
                os.close(process)


@contextmanager
def lossy_disk(mountpoint: Path, seed: int | None = None) -> Iterator[LossyDisk]:
    """Mount such a disk until the block ends."""
    disk = LossyDisk(mountpoint, seed)
    try:
        yield disk
    except BaseException:
        with suppress(RuntimeError):  # it may be why
            disk.unmount()
        raise
    disk.unmount()
