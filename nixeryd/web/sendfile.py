"""Part of a file to a socket, without its bytes passing through this process.

The kernel takes them from the page cache, which all readers of a blob share.
What is not there yet has to come from the disk, and would hold up everybody
else: that is waited for in a thread.

https://man7.org/linux/man-pages/man2/sendfile.2.html
"""

import errno
import os

import trio

CHUNK = 1024 * 1024  # bytes; what one client gets before others have their turn
_PROGRESS = 256 * 1024  # bytes that a client must take within the time given
# Apart from trio's default limiter, which Nix runs and packing use.
_DISK = trio.CapacityLimiter(16)
_GONE = {
    errno.EBADF,
    errno.ECONNABORTED,
    errno.ECONNRESET,
    errno.ENOTCONN,
    errno.EPIPE,
    errno.ETIMEDOUT,
}


class ShortFileError(Exception):
    """A file ended before all that was announced of it was sent."""


async def send_file(
    sock: trio.socket.SocketType, fd: int, part: range, patience: float
) -> None:
    """Send the bytes of `part`; a client gets `patience` seconds per 256 KiB.

    Raises trio's TooSlowError, and BrokenResourceError or ClosedResourceError as
    a stream does; ShortFileError if the file is too short.
    """
    at = part.start
    mark, deadline = at, trio.current_time() + patience
    while at < part.stop:
        try:
            sent = await _send_some(sock, fd, at, min(CHUNK, part.stop - at))
        except BlockingIOError:
            with trio.fail_at(deadline):
                await trio.lowlevel.wait_writable(sock)
            continue
        except OSError as error:
            if error.errno in _GONE:
                raise trio.BrokenResourceError from error
            raise
        if not sent:
            raise ShortFileError(f"a blob ended {part.stop - at} bytes early")
        at += sent
        if at - mark >= _PROGRESS:
            mark, deadline = at, trio.current_time() + patience
        await trio.lowlevel.checkpoint()


async def _send_some(sock: trio.socket.SocketType, fd: int, at: int, count: int) -> int:
    if _is_cached(fd, at) and _is_cached(fd, at + count - 1):
        return os.sendfile(sock.fileno(), fd, at, count)
    # Not abandoned on cancel: neither descriptor may be closed under it.
    return await trio.to_thread.run_sync(
        os.sendfile, sock.fileno(), fd, at, count, limiter=_DISK
    )


def _is_cached(fd: int, at: int) -> bool:
    """Return whether a byte can be read without waiting, as far as can be known."""
    try:
        # At the end of a file nothing is read, which takes no time either.
        os.preadv(fd, [bytearray(1)], at, os.RWF_NOWAIT)
    except (OSError, AttributeError):  # not cached, or not Linux
        return False
    return True
