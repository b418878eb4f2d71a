"""The command line: thin commands that call the daemon, or are it.

What a command needs is imported when it runs, so that `nixeryd --help` and
`nixeryd status` answer at once.
"""

from nixeryd.cli.main import main

__all__ = ["main"]
