"""Who has a port: read from /proc on Linux, asked of lsof elsewhere."""

import errno
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nixeryd.config.settings import Settings
from nixeryd.doctor.findings import Finding, broken, note, ok
from nixeryd.runtime.strangers import strangers_at
from nixeryd.web.listen import Address, ListenError

_LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp
_AIRPLAY = "ControlCenter"


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that listens."""

    pid: int
    name: str


def check_ports(settings: Settings, daemon: int | None) -> Iterator[Finding]:
    """See whether the configured ports are free, or ours; `daemon` is its pid."""
    for option, addresses in (
        ("listen", settings.listen),
        ("mirror_listen", settings.mirror_listen),
    ):
        for text in addresses:
            try:
                address = Address.parse(text)
            except ListenError as error:
                yield broken("port", str(error), f"mend {option} in config.toml")
            else:
                yield from _check(address, option, daemon)


def _check(address: Address, option: str, daemon: int | None) -> Iterator[Finding]:
    for stranger in strangers_at([address.port] if address.port else []):
        yield broken(
            "port",
            f"{stranger}, from whom clients of {address} may pull what they like",
            f"{_other(option)}; a systemd socket keeps a port: nixeryd service install",
        )
    reason = _cannot_bind(address)
    if reason is None:
        yield ok("port", f"{address} is free")
    elif reason == errno.EADDRINUSE:
        yield _judge(address, port_owners(address.port), option, daemon)
    else:
        yield broken("port", f"{address}: {os.strerror(reason)}", _other(option))


def _judge(
    address: Address, owners: Sequence[Owner], option: str, daemon: int | None
) -> Finding:
    if any(owner.pid == daemon for owner in owners):
        return ok("port", f"{address} is the daemon's")
    if any(owner.name == "systemd" for owner in owners):
        return ok("port", f"{address} is systemd's, which starts the daemon")
    if any(owner.name.startswith(_AIRPLAY[:9]) for owner in owners):
        return broken(
            "port",
            f"{address} is taken by macOS's AirPlay Receiver",
            f"System Settings, AirDrop & Handoff: turn it off; or {_other(option)}",
        )
    who = ", ".join(f"{owner.name} (pid {owner.pid})" for owner in owners)
    if not who:
        return note(
            "port",
            f"{address} is taken by another user's process",
            f"sudo ss -ltnp 'sport = :{address.port}'",
        )
    return broken("port", f"{address} is taken by {who}", _other(option))


def _other(option: str) -> str:
    flag = "--" + option.replace("_", "-")
    return f"choose another: nixeryd serve {flag} 127.0.0.1:5050, or {option} in config"


def _cannot_bind(address: Address) -> int | None:
    family = socket.AF_INET6 if ":" in str(address.ip) else socket.AF_INET
    with socket.socket(family) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((str(address.ip), address.port))
            sock.listen(1)
        except OSError as error:
            return error.errno or errno.EINVAL
    return None


def port_owners(port: int, platform: str = sys.platform) -> list[Owner]:
    """List the processes that listen on a TCP port, as far as we may see them."""
    return list(_from_proc(port) if platform == "linux" else _from_lsof(port))


def _from_proc(port: int) -> Iterator[Owner]:
    wanted = set()
    for table in ("tcp", "tcp6"):
        try:
            rows = Path("/proc/net", table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                wanted.add(f"socket:[{fields[9]}]")
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # not ours to see, or gone
            if any(_link(fd) in wanted for fd in (directory / "fd").iterdir()):
                name = (directory / "comm").read_text().strip()
                yield Owner(int(directory.name), name)


def _link(fd: Path) -> str:
    """Say what an open file is; "" if it was closed meanwhile."""
    try:
        return os.readlink(fd)  # noqa: PTH115  no path
    except OSError:
        return ""


def _from_lsof(port: int) -> Iterator[Owner]:
    lsof = shutil.which("lsof")
    if lsof is None:
        return
    done = subprocess.run(
        [lsof, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"],
        check=False,
        capture_output=True,
        text=True,
    )
    pid = 0
    for line in done.stdout.splitlines():
        if line.startswith("p"):
            pid = int(line[1:])
        elif line.startswith("c"):
            yield Owner(pid, line[1:])
