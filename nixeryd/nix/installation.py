"""Find Nix on this machine, and learn once what it is.

A daemon that systemd started has not the PATH of a login shell, so the usual
places of a Nix profile are looked at too. Debian's nix-bin, run by root, has no
build users and refuses to build until it is told to do without; this is
decided here, from files alone.

Nix manual: "Single-User Mode", `build-users-group`, `NIX_CONFIG`, `NIX_REMOTE`.
"""

import grp
import os
import platform
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog
import trio

from nixeryd.images.errors import NixerydError
from nixeryd.nix.limits import Limits
from nixeryd.nix.process import Nix, NixFailed
from nixeryd.runtime.offline import Offline
from nixeryd.runtime.process import run

log = structlog.get_logger()

_USUAL_PLACES = (
    "~/.nix-profile/bin",
    "~/.local/state/nix/profile/bin",
    "/nix/var/nix/profiles/default/bin",
    "/run/current-system/sw/bin",
    "/usr/local/bin",
    "/usr/bin",
)
# Such as: nix (Nix) 2.8.0; nix (Lix, like Nix) 2.91.1; nix (Determinate Nix 3.8.0) 2.30
_VERSION = re.compile(r"(?m)^nix \((?P<fork>[^)]*)\) (?P<version>\d+(?:\.\d+)*)")
_GROUP_SETTING = re.compile(
    r"(?m)^[ \t]*build-users-group[ \t]*=[ \t]*(?P<group>[^#\s]*)"
)

NOT_FOUND = (
    "Nix was not found, on PATH or in its usual places. Install it: "
    "apt install nix-bin, dnf install nix, or see https://nixos.org/download"
)

NO_DAEMON = (
    "Nix is installed, but its daemon does not answer, and the store belongs to "
    "another user. Start it: systemctl start nix-daemon.socket (Debian: apt install "
    "nix-setup-systemd, and be in the group nix-users)"
)


def find_nix() -> Path:
    """Return the directory that holds `nix`; raises `NixerydError`."""
    places = [os.environ.get("PATH", ""), *map(os.path.expanduser, _USUAL_PLACES)]
    found = shutil.which("nix", path=os.pathsep.join(places))
    if found is None:
        raise NixerydError(NOT_FOUND)
    return Path(found).absolute().parent


async def open_nix(
    *,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    offline: Offline | None = None,
    limits: Limits | None = None,
) -> Nix:
    """Find Nix and read its version; raises `NixerydError` if there is none.

    `options` are more flags for every command, `environment` more variables;
    without `offline` it is noticed only if the machine has no network; without
    `limits` an evaluation has none.
    """
    environment = dict(environment or {})
    directory = find_nix()
    if not may_use_store(os.geteuid(), {**os.environ, **environment}):
        raise NixerydError(NO_DAEMON)
    command = [str(directory / "nix"), "--version"]
    try:
        said = (await run(command, environment)).decode(errors="replace")
    except NixFailed as error:
        raise NixerydError(
            f"{command[0]} does not run: {' '.join(error.stderr[-3:])}"
        ) from error
    fork, version = parse_version(said)
    flags: tuple[str, ...] = ()
    if not builds_have_users(os.geteuid(), {**os.environ, **environment}):
        flags = ("--option", "build-users-group", "")
        if not await can_sandbox():
            # Nix's own sandbox-fallback does not see this one coming.
            log.warning(
                "building without Nix's sandbox: this system allows no user namespaces"
            )
            flags += ("--option", "sandbox", "false")
    return Nix(
        directory=directory,
        version=version,
        fork=fork,
        options=(*flags, *options),
        environment=environment,
        offline=offline or Offline(),
        limits=limits or Limits(),
    )


async def can_sandbox() -> bool:
    """Return whether a build without users of its own can have its sandbox.

    It needs a user namespace, which a plain chroot and some containers refuse.
    """
    if platform.system() != "Linux":
        return True
    try:
        tried = await trio.run_process(
            ["unshare", "--user", "true"], check=False, capture_stderr=True
        )
    except OSError:
        return True  # without util-linux nobody can tell; Nix will say
    return tried.returncode == 0


def parse_version(said: str) -> tuple[str, tuple[int, ...]]:
    """Read what `nix --version` says: the fork in lower case, and the version."""
    match = _VERSION.search(said)
    if match is None:
        raise NixerydError(f"this is no Nix: its --version says {said.strip()[:80]!r}")
    version = tuple(int(part) for part in match["version"].split("."))
    return match["fork"].lower(), version


def may_use_store(user_id: int, environment: Mapping[str, str]) -> bool:
    """Return whether this user reaches a store: their own, or by the Nix daemon.

    Without this look Nix would take a private store in the home directory, whose
    files are not where their names say.
    """
    if user_id == 0 or environment.get("NIX_REMOTE", "") not in ("", "auto"):
        return True
    state = environment.get("NIX_STATE_DIR") or "/nix/var/nix"
    socket = (
        environment.get("NIX_DAEMON_SOCKET_PATH") or f"{state}/daemon-socket/socket"
    )
    return os.access(state, os.W_OK) or os.access(socket, os.W_OK)


def builds_have_users(user_id: int, environment: Mapping[str, str]) -> bool:
    """Return whether a build would find the users it wants to run as.

    Only root with the local store builds by itself; everybody else asks the
    Nix daemon, or builds as themselves.
    """
    remote = environment.get("NIX_REMOTE", "")
    if user_id != 0 or remote not in ("", "auto", "local"):
        return True
    group = _configured_group(environment)
    if not group:
        return True  # told to do without already
    try:
        return bool(grp.getgrnam(group).gr_mem)
    except KeyError:
        return False


def _configured_group(environment: Mapping[str, str]) -> str:
    """Return build-users-group as Nix would read it; NIX_CONFIG comes last and wins."""
    directory = Path(environment.get("NIX_CONF_DIR") or "/etc/nix")
    group = "nixbld"  # Nix's default for root
    for text in (_read(directory / "nix.conf"), environment.get("NIX_CONFIG", "")):
        for match in _GROUP_SETTING.finditer(text):
            group = match["group"]
    return group


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
