"""Which users of this machine are answered, and whether they can be told apart."""

import sys

from nixeryd.config.settings import Settings
from nixeryd.doctor.findings import Finding, note, ok
from nixeryd.doctor.running import Running
from nixeryd.runtime.sockdiag import SockDiag


def check_users(settings: Settings, running: Running | None) -> Finding:
    """Say who may pull; without a daemon, whether it could be told here."""
    if settings.users == "all":
        return note("users", 'every user of this machine is answered (users = "all")')
    if not (running.tells_users if running else _can_ask()):
        why = "the kernel does not tell who connects"
        if sys.platform != "linux":
            why = "only Linux tells who connects"
        return note("users", f"{why}: every user of this machine is answered")
    *others, last = ("you", "root", *map(str, settings.users))
    return ok(
        "users",
        f"only {', '.join(others)} and {last} are answered; what comes by a forwarded"
        " port counts as the user of the program that forwards it",
    )


def _can_ask() -> bool:
    try:
        with SockDiag():
            return True
    except OSError:
        return False
