"""Look at this machine: which engine runs how, and which files it reads.

Only looks; nothing is written and no program is started. Everything is taken
from a `Machine`, so that a test can describe any.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from nixeryd.setup.errors import SetupError

_VM = "host.docker.internal"


@dataclass(frozen=True, slots=True)
class Machine:
    """What the detection depends on."""

    root: Path  # "/"
    home: Path
    environ: Mapping[str, str]
    is_root: bool
    is_mac: bool

    @classmethod
    def this(cls) -> "Machine":
        """Describe the machine and user that run this."""
        try:
            home = Path.home()
        except RuntimeError as error:
            raise SetupError("no home directory; set HOME") from error
        is_root = os.geteuid() == 0
        return cls(Path("/"), home, os.environ, is_root, sys.platform == "darwin")

    @property
    def config(self) -> Path:
        """$XDG_CONFIG_HOME, which the engines honour on macOS too."""
        given = self.environ.get("XDG_CONFIG_HOME", "")
        # A relative path is invalid, says the XDG specification: ignore it.
        return Path(given) if given.startswith("/") else self.home / ".config"

    def etc(self, *names: str) -> Path:
        """Return a path below /etc."""
        return self.root.joinpath("etc", *names)


class Kind(StrEnum):
    """How Docker is installed, as far as its configuration goes."""

    ROOTFUL = "rootful"
    ROOTLESS = "rootless"
    SNAP = "snap"
    DESKTOP = "Docker Desktop"
    ORBSTACK = "OrbStack"


@dataclass(frozen=True, slots=True)
class Docker:
    """A Docker engine and the file it reads; `vm_host`: how a VM calls us."""

    kind: Kind
    daemon_json: Path
    vm_host: str | None = None

    @property
    def certs_d(self) -> Path:
        """The directory of hosts.toml files, for the containerd image store."""
        return self.daemon_json.parent / "certs.d"


def find_docker(machine: Machine, *, rootless: bool | None = None) -> Docker:
    """Find the engine that `docker` talks to; `rootless` None means: look."""
    kind = _docker_kind(machine, rootless=rootless)
    snap = machine.root / "var/snap/docker/current/config/daemon.json"
    files = {
        Kind.ROOTFUL: machine.etc("docker", "daemon.json"),
        Kind.ROOTLESS: machine.config / "docker/daemon.json",
        Kind.SNAP: snap,
        Kind.DESKTOP: machine.home / ".docker/daemon.json",
        Kind.ORBSTACK: machine.home / ".orbstack/config/docker.json",
    }
    vm_host = _VM if kind in (Kind.DESKTOP, Kind.ORBSTACK) else None
    return Docker(kind, files[kind], vm_host)


def _docker_kind(machine: Machine, *, rootless: bool | None) -> Kind:
    context = machine.environ.get("DOCKER_CONTEXT") or _current_context(machine)
    host = machine.environ.get("DOCKER_HOST", "")
    if rootless is None and not host:
        if context.startswith("colima"):
            raise SetupError(
                "colima keeps Docker's settings in its own file: `colima start --edit`,"
                f' and under docker: registry-mirrors: ["http://{_VM}:5001"]'
            )
        if context == "orbstack":
            return Kind.ORBSTACK
        if context.startswith("desktop-"):
            return Kind.DESKTOP
    if machine.is_mac:
        return Kind.DESKTOP
    if rootless is None:
        rootless = not machine.is_root and _is_rootless(machine, host, context)
    if rootless:
        return Kind.ROOTLESS
    has_snap = (machine.root / "var/snap/docker/current").exists()
    return (
        Kind.SNAP if has_snap and not machine.etc("docker").exists() else Kind.ROOTFUL
    )


def _is_rootless(machine: Machine, host: str, context: str) -> bool:
    if host:
        return host.startswith("unix:///run/user/")
    if context == "rootless":
        return True
    runtime = machine.environ.get("XDG_RUNTIME_DIR", "")
    own = bool(runtime) and Path(runtime, "docker.sock").exists()
    return own and not (machine.root / "var/run/docker.sock").exists()


def _current_context(machine: Machine) -> str:
    where = machine.environ.get("DOCKER_CONFIG") or machine.home / ".docker"
    try:
        data = json.loads((Path(where) / "config.json").read_bytes())
        return str(data.get("currentContext", ""))
    except (OSError, ValueError, AttributeError):
        return ""  # Docker's own file, and not the one we came for.


def mirror_flags(machine: Machine) -> list[Path]:
    """Find where dockerd is given --registry-mirror on its command line.

    dockerd refuses to start when daemon.json says the same thing again.
    """
    unit = "systemd/system/docker.service"
    places = [
        machine.etc("default", "docker"),
        machine.etc(unit),
        *sorted(machine.etc(f"{unit}.d").glob("*.conf")),
        machine.root / "usr/lib" / unit,
        machine.root / "lib" / unit,
    ]
    return [place for place in places if _says(place, "--registry-mirror")]


def _says(path: Path, word: str) -> bool:
    try:
        rows = path.read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(word in row for row in rows if not row.lstrip().startswith("#"))


def podman_drop_in(machine: Machine) -> Path:
    """Return the drop-in for this user, or for all when it is root's."""
    base = (
        machine.etc("containers") if machine.is_root else machine.config / "containers"
    )
    return base / "registries.conf.d/50-nixeryd.conf"


def podman_files(machine: Machine) -> list[Path]:
    """Return the registries.conf files that podman reads, in its order."""
    ours = machine.config / "containers"
    directories = [machine.etc("containers"), ours]
    if (ours / "registries.conf").exists() and not machine.is_root:
        directories = [ours]
    main = [one / "registries.conf" for one in directories]
    drop_ins = [
        sorted((one / "registries.conf.d").glob("*.conf")) for one in directories
    ]
    return [one for one in main if one.exists()] + [f for fs in drop_ins for f in fs]


def engine_dir(machine: Machine, engine: str, *, rootless: bool | None) -> Path:
    """Return the directory of containerd's or BuildKit's configuration."""
    if rootless is None:
        own = machine.config / engine
        rootless = not machine.is_root and own.is_dir()
    return machine.config / engine if rootless else machine.etc(engine)


def buildx_default(machine: Machine) -> Path | None:
    """Find the file that buildx gives to new builders instead of buildkitd.toml."""
    where = machine.environ.get("BUILDX_CONFIG") or machine.home / ".docker/buildx"
    path = Path(where) / "buildkitd.default.toml"
    return path if path.exists() else None
