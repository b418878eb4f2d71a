"""A disk that can lose its power: `lossyfs`, mounted in a process of its own."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from pathlib import Path

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
        """Lose what is not safe, and come back."""
        self.unmount()
        self._cuts += 1
        self._server = self._mount()

    def unmount(self) -> None:
        # What a killed daemon left running may have a file open for a moment.
        subprocess.run(["fusermount3", "-u", "-z", self._mountpoint], check=True)
        assert self._server.wait() == 0, self._server


@contextmanager
def lossy_disk(mountpoint: Path, seed: int | None = None) -> Iterator[LossyDisk]:
    """Mount such a disk until the block ends."""
    disk = LossyDisk(mountpoint, seed)
    try:
        yield disk
    finally:
        disk.unmount()
