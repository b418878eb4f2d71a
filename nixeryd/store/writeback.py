"""Writeback begun early: bytes on their way to the disk before fsync asks for them.

The kernel begins to write a file when it is told to, or after seconds; a layer is
packed in less, so that fsync would find all of it still to do, and the disk idle
until then. This only begins; what is safe is for fsync to say.

sync_file_range(2), of Linux alone; elsewhere nothing is begun.
"""

import ctypes
import sys
from collections.abc import Callable
from typing import Final

_WRITE: Final = 2  # SYNC_FILE_RANGE_WRITE

_Call = Callable[[int, int, int, int], int]


def _find() -> _Call | None:
    if sys.platform != "linux":
        return None
    try:
        call = ctypes.CDLL(None).sync_file_range
    except AttributeError:
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return call


_call = _find()


def begin_writeback(fd: int, part: range) -> None:
    """Let the kernel begin to write a part of a file; errors are left for fsync."""
    if _call is not None and part:
        _call(fd, part.start, len(part), _WRITE)
