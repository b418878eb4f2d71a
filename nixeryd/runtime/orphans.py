"""Orphans: what a daemon that was killed left running works for nobody.

A builder may go on for hours. Nix and git cannot be told to end with us: the kernel
would do it when the thread ends that started them. So all we start carries a mark in
its environment, and the next daemon with the same data directory, of which there is
only one at a time, ends whatever still carries it.

Linux only, as it reads /proc; on macOS orphans go on until they are done.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

MARK: Final = "NIXERYD_WORKS_FOR"
_GRACE: Final = 5.0  # seconds from SIGTERM to SIGKILL; Nix ends its builders in it


def end_orphans(data: Path) -> int:
    """End what works for an earlier daemon, and mark what we start; tell how many.

    May take some seconds.
    """
    text = os.path.realpath(data)
    found = list(_marked(f"{MARK}={text}".encode())) if sys.platform == "linux" else []
    os.environ[MARK] = text
    try:
        _end(found)
    finally:
        for process in found:
            os.close(process)
    return len(found)


def _marked(mark: bytes) -> Iterator[int]:
    """Return a pidfd for each: a pid alone may be another's a moment later."""
    for place in Path("/proc").glob("[0-9]*"):
        pid = int(place.name)
        try:
            process = os.pidfd_open(pid)
        except OSError:
            continue  # gone
        environ: list[bytes] = []
        with suppress(OSError):  # gone, or another user's
            environ = (place / "environ").read_bytes().split(b"\0")
        if mark in environ and pid != os.getpid():
            yield process
        else:
            os.close(process)


def _end(processes: Collection[int]) -> None:
    running = set(processes)
    for number, patience in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, 1.0)):
        for process in running:
            with suppress(OSError):  # gone, or a build user's
                signal.pidfd_send_signal(process, number)
        deadline = time.monotonic() + patience
        while running and (left := deadline - time.monotonic()) > 0:
            running.difference_update(select.select(running, (), (), left)[0])
