"""What a power cut must leave: directories that are made for good.

A file is there after a power cut when its bytes and the entry in its directory were
fsynced, and so were the directory's own entry and those above: each fsync promises what
it names and nothing else. See fsync(2).
"""

import os
from collections.abc import Iterable
from pathlib import Path


def fsync_directory(directory: Path) -> None:
    """Make a directory's entries safe."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directories(places: Iterable[Path]) -> None:
    """Make directories where there are none, for us alone, and all of them safe.

    One that was there may be so only since a moment before a crash. Those above must be
    there.
    """
    above = set()
    for place in places:
        place.mkdir(mode=0o700, exist_ok=True)
        above.add(place.parent)
    for directory in sorted(above):
        fsync_directory(directory)
