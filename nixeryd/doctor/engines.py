"""Which container engines are here, and whether they pull from us.

What is set up is known from the plan of `nixeryd setup`: it has nothing to do.
"""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nixeryd.doctor.findings import Finding, note, ok
from nixeryd.setup import recipes
from nixeryd.setup.engine import Engine, installed
from nixeryd.setup.engines import Machine, find_docker
from nixeryd.setup.errors import SetupError
from nixeryd.setup.recipes import Recipe
from nixeryd.setup.targets import Targets
from nixeryd.setup.visibility import STORE, Seen, look

_PATIENCE = 5  # seconds that `docker info` gets

# Docker brings a containerd of its own, which asks nobody but dockerd: somebody
# uses containerd directly if a client for that is here.
_PLANS: dict[str, tuple[str, Callable[[Machine, Targets], Recipe]]] = {
    "docker": ("docker", recipes.docker),
    "podman": ("podman", recipes.podman),
    "containerd": ("nerdctl", recipes.containerd),
    "buildkit": ("buildkitd", recipes.buildkit),
}


def check_engines(machine: Machine, targets: Targets) -> Iterator[Finding]:
    """Look at each engine that is installed."""
    here = [name for name, (program, _) in _PLANS.items() if shutil.which(program)]
    if not here:
        yield note("engine", "no docker, podman, containerd or BuildKit on PATH")
    for name in here:
        yield from _check_set_up(name, machine, targets)
        if name == "docker":
            yield from _check_docker(machine, targets)
    for engine in installed():
        yield from _check_sight(engine, machine)


def _check_sight(engine: Engine, machine: Machine) -> Iterator[Finding]:
    """Return whether thin images run there; a silent engine was told of already."""
    sight = look(engine, machine)
    match sight.seen:
        case Seen.SEES:
            yield ok(
                engine.kind, f"sees {STORE}: `nixeryd run NAME` copies nothing there"
            )
        case Seen.BLIND:
            yield note(
                engine.kind,
                f"does not see this machine's {STORE} ({sight.why}): no thin/ images"
                " there; `nixeryd run` takes ordinary ones",
            )
        case Seen.SILENT:
            return


def _check_set_up(name: str, machine: Machine, targets: Targets) -> Iterator[Finding]:
    try:
        recipe = _PLANS[name][1](machine, targets)
        edits = recipe.edits()
    except SetupError as error:
        yield note(name, str(error))
        return
    if not edits:
        yield ok(name, "is set up to pull from here")
    elif name == "podman":
        yield note(
            name,
            "wants --tls-verify=false for each pull from here",
            "nixeryd setup podman",
        )
    else:
        yield note(
            name,
            f"does not mirror through here: {edits[0].path}",
            f"nixeryd setup {name}",
        )
    for warning in recipe.warnings:
        yield note(name, warning)


def _check_docker(machine: Machine, targets: Targets) -> Iterator[Finding]:
    try:
        engine = find_docker(machine)
    except SetupError:
        return  # said already
    if engine.vm_host:
        targets = targets.seen_from_vm(engine.vm_host)
        yield note(
            "docker",
            f"{engine.kind} runs in a virtual machine, where localhost is another"
            f" machine; it calls this one {engine.vm_host}",
            f"docker pull {targets.registry}/hello",
        )
    info = _docker_info()
    if info is None:
        yield note(
            "docker",
            "the engine does not answer",
            "docker info; start it, or join the group docker",
        )
        return
    registries = info.get("RegistryConfig") or {}
    if targets.mirror in str(registries.get("Mirrors")):
        yield ok("docker", f"the running engine uses the mirror {targets.mirror}")
    # A proxy plugin of its containerd; what it is called is the user's to say.
    if "nix" in str(info.get("Driver")):
        yield ok("docker", "uses nix-snapshotter: thin/ images need no -v")
    elif targets.mirror in _text(engine.daemon_json):
        yield note(
            "docker",
            f"the running engine has not read {engine.daemon_json} yet",
            "sudo systemctl reload docker, or restart it where there is no systemd",
        )


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _docker_info() -> dict[str, Any] | None:
    try:
        done = subprocess.run(
            ["docker", "info", "--format", "{{json .}}"],
            check=False,
            capture_output=True,
            timeout=_PATIENCE,
        )
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    has_engine = isinstance(found, dict) and found.get("ServerVersion")
    return found if has_engine else None
