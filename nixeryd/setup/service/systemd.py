"""systemd: the shipped units, and drop-ins with what is this user's own.

Where a package has put the units already, only the drop-ins are written, so that
an upgrade of the package reaches them.

https://www.freedesktop.org/software/systemd/man/latest/systemd.syntax.html
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import platformdirs

from nixeryd.config.settings import Settings
from nixeryd.setup.service.plan import MARK, Plan

UNITS = ("nixeryd.service", "nixeryd.socket", "nixeryd-mirror.socket")
_PACKAGED = (
    "/etc/systemd/user",
    "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user",
)
_DROP_IN = "nixeryd.conf"
_PLAIN = re.compile(r"[A-Za-z0-9@%+=:,./_-]+", re.ASCII)


def plan_units(  # noqa: PLR0913  the last two are for tests
    shipped: Path,
    command: Sequence[str],
    settings: Settings,
    environment: Mapping[str, str],
    *,
    unit_dir: Path | None = None,
    packaged: Sequence[str] = _PACKAGED,
) -> Plan:
    """Say what to write and what to tell systemd; `shipped` has the units."""
    place = unit_dir or user_units()
    files: dict[Path, str] = {}
    if not any(Path(directory, UNITS[0]).exists() for directory in packaged):
        for unit in UNITS:
            files[place / unit] = f"# {MARK}\n{(shipped / unit).read_text()}"
    files[_drop_in(place, "nixeryd.service")] = _service(command, environment)
    usual = Settings()
    sockets = []
    for unit, addresses, default in (
        ("nixeryd.socket", settings.listen, usual.listen),
        ("nixeryd-mirror.socket", settings.mirror_listen, usual.mirror_listen),
    ):
        if addresses:
            sockets.append(unit)
        if addresses != default and addresses:
            files[_drop_in(place, unit)] = _socket(unit, addresses)
    systemctl = ("systemctl", "--user")
    return Plan(
        files,
        start=(
            (*systemctl, "daemon-reload"),
            (*systemctl, "enable", *sockets),
            # So that sockets that listen already take new addresses.
            (*systemctl, "stop", "nixeryd.service"),
            (*systemctl, "restart", *sockets),
        ),
        stop=(
            (*systemctl, "disable", "--now", *UNITS[1:], "nixeryd.service"),
            (*systemctl, "daemon-reload"),
        ),
    )


def user_units() -> Path:
    """Return the directory of this user's own units."""
    return platformdirs.user_config_path("systemd") / "user"


def own_files(unit_dir: Path | None = None) -> list[Path]:
    """List all files that an installation may have written, there or not."""
    place = unit_dir or user_units()
    return [place / unit for unit in UNITS] + [_drop_in(place, unit) for unit in UNITS]


def is_managed() -> bool:
    """Return whether a systemd runs for this user, so that it can be told things."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return bool(runtime) and Path(runtime or "", "systemd", "private").exists()


def _drop_in(place: Path, unit: str) -> Path:
    return place / f"{unit}.d" / _DROP_IN


def _service(command: Sequence[str], environment: Mapping[str, str]) -> str:
    words = " ".join(_quote(word).replace("$", "$$") for word in command)
    lines = [f"# {MARK}", "[Service]", "ExecStart=", f"ExecStart={words}"]
    lines += [f"Environment={_quote('='.join(pair))}" for pair in environment.items()]
    return "\n".join(lines) + "\n"


def _socket(unit: str, addresses: Sequence[str]) -> str:
    lines = [f"# {MARK}", "[Socket]", "ListenStream="]
    lines += [f"ListenStream={address}" for address in addresses]
    if unit == "nixeryd.socket":
        lines.append("ListenStream=%t/nixeryd/admin.sock")
    return "\n".join(lines) + "\n"


def _quote(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return escaped if _PLAIN.fullmatch(escaped) else f'"{escaped}"'
