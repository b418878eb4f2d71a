"""Pages: what the kernel keeps of files in memory, and what it is told of ours.

Only hints, of Linux and some others; elsewhere nothing is said. See posix_fadvise(2).
"""

import os
import sys
from pathlib import Path


def read_once(fd: int) -> None:
    """Say that what is read here is read once, and makes no page worth keeping.

    Pages that others use stay; Linux heeds it from 6.3 on.
    """
    if sys.platform == "linux":
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_NOREUSE)


def drop(path: Path) -> None:
    """Have a file read from the disk the next time; raises `OSError`."""
    if sys.platform == "linux":
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)
