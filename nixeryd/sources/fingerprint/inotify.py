"""Linux inotify: the three system calls, and events as plain values.

inotify(7). An event is queued before the system call that caused it returns, so
a reader that empties the queue has seen every write that had returned: all of
the fingerprint's soundness stands on this. Hence no library: watchfiles and
watchdog read in threads of their own and batch by time, so that "nothing new"
means nothing; asyncinotify brings asyncio; inotify_simple is these same lines
without a way to know that the queue is empty. Must not know what is watched.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

MODIFY, ATTRIB = 0x2, 0x4
MOVED_FROM, MOVED_TO = 0x40, 0x80
CREATE, DELETE = 0x100, 0x200
DELETE_SELF, MOVE_SELF = 0x400, 0x800
UNMOUNT, OVERFLOW, IGNORED = 0x2000, 0x4000, 0x8000
ISDIR = 0x40000000
_ONLYDIR, _DONT_FOLLOW = 0x01000000, 0x02000000

_HEADER = struct.Struct("iIII")  # wd, mask, cookie, length of the name
_BUFFER = 1 << 17


class InotifyUnavailableError(Exception):
    """There is no inotify here, or a limit is reached; the message says which."""


@dataclass(frozen=True, slots=True)
class Event:
    """What happened in the directory `wd`; `name` is empty for itself."""

    wd: int
    mask: int
    name: bytes


class Inotify:
    """One inotify queue, non-blocking; `fd` is readable when events wait."""

    def __init__(self) -> None:
        """Raise `InotifyUnavailableError` if there can be none."""
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            init, self._add = libc.inotify_init1, libc.inotify_add_watch
            self._remove = libc.inotify_rm_watch
        except AttributeError:
            raise InotifyUnavailableError("this system has no inotify") from None
        self._add.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
        self._remove.argtypes = (ctypes.c_int, ctypes.c_int)
        self.fd: int = init(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            if ctypes.get_errno() in {errno.EMFILE, errno.ENFILE}:
                raise InotifyUnavailableError(
                    "no inotify instance is left "
                    "(raise the sysctl fs.inotify.max_user_instances)"
                )
            raise InotifyUnavailableError(os.strerror(ctypes.get_errno()))

    def close(self) -> None:
        """Drop all watches; a second call does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def add(self, directory: bytes, mask: int) -> int:
        """Watch a directory, itself and not through a symlink.

        The same directory gives the same number again. Raises `OSError`: gone,
        no directory any more, or not ours to read; `InotifyUnavailableError`
        when the number of watches is exhausted.
        """
        wd: int = self._add(self.fd, directory, mask | _ONLYDIR | _DONT_FOLLOW)
        if wd < 0:
            code = ctypes.get_errno()
            if code in {errno.ENOSPC, errno.ENOMEM}:
                raise InotifyUnavailableError(
                    "no inotify watch is left "
                    "(raise the sysctl fs.inotify.max_user_watches)"
                )
            raise OSError(code, os.strerror(code), directory)
        return wd

    def remove(self, wd: int) -> None:
        """Stop watching; nothing happens if the directory is gone already."""
        self._remove(self.fd, wd)

    def drain(self) -> Iterator[Event]:
        """Yield every event that is queued now, without waiting."""
        while True:
            try:
                buffer = os.read(self.fd, _BUFFER)
            except BlockingIOError:
                return
            offset = 0
            while offset < len(buffer):
                wd, mask, _, length = _HEADER.unpack_from(buffer, offset)
                offset += _HEADER.size
                name = buffer[offset : offset + length].rstrip(b"\0")
                offset += length
                yield Event(wd, mask, name)
