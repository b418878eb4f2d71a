"""Does an engine see this machine's Nix store: asked of it, and nothing is started.

Docker is asked for a container of an image that no one has, with a store path of
ours to be mounted: it looks for the path first, and for the image then. So what it
complains about tells what it sees, wherever it runs. podman and nerdctl look from
where they are called, unless they only pass everything on to another machine.

https://docs.docker.com/engine/storage/bind-mounts/ (a missing source is an error)
"""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from nixeryd.setup.engine import Engine
from nixeryd.setup.engines import Machine, find_docker
from nixeryd.setup.errors import SetupError

STORE = "/nix/store"
_PATIENCE = 10  # seconds
_NAME = "nixeryd-has-no-such-image:none"
_STORE_PATH = re.compile(r"[0-9a-df-np-sv-z]{32}-")
# Docker's words; podman's where it calls itself docker.
_PATH_WAS_FOUND = re.compile(r"(?i)no such image|image not known")
_NOBODY = re.compile(
    r"(?i)cannot connect|is the docker daemon running|permission denied"
    r"|failed to connect|connection refused|error during connect"
)


class Seen(Enum):
    """What came of looking."""

    SEES = auto()
    BLIND = auto()
    SILENT = auto()  # the engine itself does not answer


@dataclass(frozen=True, slots=True)
class StoreVisibility:
    """Whether an engine sees the store; `why` not, in a few words.

    `vm_host` is how it calls this machine if it runs in a virtual one.
    """

    seen: Seen
    why: str = ""
    vm_host: str | None = None

    @property
    def is_clear(self) -> bool:
        return self.seen is Seen.SEES


_CLEAR = StoreVisibility(Seen.SEES)


def look(engine: Engine, machine: Machine, store: str = STORE) -> StoreVisibility:
    """Find out whether an engine sees a store of this machine."""
    witness = _witness(store)
    if witness is None:
        return StoreVisibility(Seen.BLIND, f"there is nothing in {store} here")
    if engine.kind == "docker":
        return _look_for_docker(engine, machine, witness)
    if machine.is_mac:
        return StoreVisibility(Seen.BLIND, "it runs in a virtual machine")
    if engine.kind == "podman":
        return _look_for_podman(engine, machine.environ)
    return _CLEAR


def _witness(store: str) -> str | None:
    """Choose a path that no other machine's store is likely to have."""
    try:
        with os.scandir(store) as entries:
            for entry in entries:
                if _STORE_PATH.match(entry.name) and entry.is_dir():
                    return entry.path
    except OSError:
        return None
    return None


def _look_for_docker(engine: Engine, machine: Machine, witness: str) -> StoreVisibility:
    try:
        docker = find_docker(machine)
    except SetupError:
        return StoreVisibility(Seen.BLIND, "colima runs it in a virtual machine")
    if docker.vm_host:
        why = f"{docker.kind} runs in a virtual machine"
        return StoreVisibility(Seen.BLIND, why, docker.vm_host)
    mount = f"type=bind,source={witness},target=/witness"
    argv = [*engine.words, "create", "--pull=never", "--mount", mount, _NAME]
    try:
        done = subprocess.run(
            argv,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            env={**machine.environ},
        )
    except subprocess.TimeoutExpired:
        return StoreVisibility(Seen.SILENT, f"it did not answer for {_PATIENCE} s")
    except OSError as error:
        return StoreVisibility(Seen.SILENT, str(error))
    return _judge(done.stdout)


def _judge(said: str) -> StoreVisibility:
    if _PATH_WAS_FOUND.search(said):
        return _CLEAR
    last = said.strip().splitlines()[-1:] or ["it said nothing"]
    if _NOBODY.search(said):
        return StoreVisibility(Seen.SILENT, said.strip().splitlines()[0])
    return StoreVisibility(Seen.BLIND, last[0])


def _look_for_podman(engine: Engine, environ: Mapping[str, str]) -> StoreVisibility:
    for variable in ("CONTAINER_HOST", "CONTAINER_CONNECTION"):
        if environ.get(variable):
            return StoreVisibility(
                Seen.BLIND, f"it talks to another machine ({variable})"
            )
    if {"--remote", "-r"} & {*engine.words}:
        return StoreVisibility(Seen.BLIND, "it talks to another machine (--remote)")
    return _CLEAR
