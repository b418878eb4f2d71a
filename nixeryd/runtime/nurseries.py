"""Together: tasks side by side, of which the first error is the error of all.

Whoever asked gets one clear error; the other tasks stopped because of it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def open_flat_nursery() -> AsyncIterator[trio.Nursery]:
    """Open a nursery that raises no groups."""
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except ExceptionGroup as group:
        # What except* raises came in a group again before Python 3.11.4 (gh-103590).
        raise _first(group) from group


def _first(group: ExceptionGroup[Exception]) -> Exception:
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
