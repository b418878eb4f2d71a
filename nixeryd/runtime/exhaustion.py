"""Exhaustion: what a machine has no more of now, and may have again in a moment.

It says nothing about what was asked for: who meets it waits, or asks to be asked again.
"""

import errno
from typing import Final

EXHAUSTED: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN}
)
