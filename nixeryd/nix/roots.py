"""Hold GC roots while a build needs them, and no longer.

Nix follows symlinks in its own gcroots/auto to a symlink anywhere (an indirect
root); deleting ours drops the root. So a build's roots are one directory, and
removing it is all there is to do. Roots must not be renamed or moved.

Nix manual, `nix-store --add-root`.
"""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_PREFIX = "build-"


@asynccontextmanager
async def build_roots(directory: Path) -> AsyncIterator[Path]:
    """Give a fresh directory for the roots of one build; remove it at the end.

    A few symlinks at most: not worth a thread, and sync cleanup can't be cancelled.
    """
    directory.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  one call
    roots = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=directory))
    try:
        yield roots
    finally:
        shutil.rmtree(roots, ignore_errors=True)


def sweep_build_roots(directory: Path) -> None:
    """Remove what a crash left; only while no build runs, so: at start."""
    for left in directory.glob(_PREFIX + "*"):
        shutil.rmtree(left, ignore_errors=True)
