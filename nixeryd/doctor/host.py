"""The machine beneath: the data directory, its disk, watches, staying logged in."""

import getpass
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from nixeryd.config import paths
from nixeryd.config.settings import Settings
from nixeryd.doctor.findings import Finding, broken, note, ok

_SCARCE = 2 * 10**9  # bytes; a desktop program's image has some of them
_WATCHES = Path("/proc/sys/fs/inotify/max_user_watches")
_NIXPKGS = 60_000  # directories to watch: nixpkgs has some 45,000


def check_host(settings: Settings, daemon: int | None) -> Iterator[Finding]:
    """Look at what the daemon stands on."""
    yield from _check_data(settings.data_path)
    yield from _check_admin_socket(settings.data_path, daemon)
    if _WATCHES.exists():
        yield _check_watches(int(_WATCHES.read_text()))
    if sys.platform == "linux" and Path("/run/systemd/system").exists():
        yield _check_lingering(getpass.getuser())


def _check_data(place: Path) -> Iterator[Finding]:
    nearest = next(one for one in (place, *place.parents) if one.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        yield broken(
            "data",
            f"{place} cannot be written: {nearest} belongs to another user or disk",
            f"sudo chown {getpass.getuser()} {nearest}, or choose data_dir in config",
        )
        return
    free = shutil.disk_usage(nearest).free
    text = f"{place} can be written, {free / 1e9:.1f} GB free"
    if free < _SCARCE:
        yield note("data", text, "nixeryd gc, nix-collect-garbage, or another data_dir")
    else:
        yield ok("data", text)


def _check_admin_socket(data: Path, daemon: int | None) -> Iterator[Finding]:
    place = paths.runtime_dir(data) / "admin.sock"
    if daemon is not None:
        yield ok("daemon", f"answers on {place}, pid {daemon}")
    elif not place.exists():
        yield note("daemon", "none runs", "nixeryd serve, or nixeryd service install")
    elif place.stat().st_uid != os.geteuid():
        yield broken("daemon", f"{place} belongs to another user", f"sudo rm {place}")
    elif not place.is_socket():
        yield broken("daemon", f"{place} is no socket", f"rm {place}")
    else:
        yield note(
            "daemon",
            f"nobody answers on {place}; the next daemon will replace it",
            "nixeryd serve",
        )


def _check_watches(limit: int) -> Finding:
    text = f"a user may watch {limit:,} directories (fs.inotify.max_user_watches)"
    if limit >= _NIXPKGS:
        return ok("watch", text)
    return note(
        "watch",
        f"{text}; nixpkgs has more, so it is read anew at each pull",
        "echo fs.inotify.max_user_watches=524288"
        " | sudo tee /etc/sysctl.d/60-nixeryd.conf && sudo sysctl --system",
    )


def _check_lingering(user: str) -> Finding:
    if Path("/var/lib/systemd/linger", user).exists():
        return ok("linger", f"services of {user} go on after logout")
    return note(
        "linger",
        "a user's services end at logout",
        f"to keep them: loginctl enable-linger {user}",
    )
