"""The command line: thin commands that call the daemon's API, or start it.

What a command needs is imported when it runs, so that `nixeryd --help` and shell
completion answer at once. Imported by nobody.
"""

from nixeryd.cli.main import main

__all__ = ["main"]
