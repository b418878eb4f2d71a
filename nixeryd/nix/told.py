"""Evaluate, and hear what was read.

Law: after `ask`, the reads have every path and variable that can have had a part in
the answer, or say that this is unknown. A package set runs with the builtins of
nix/told.nix, which say what they read; what a path in a string copies to the store,
Nix says itself ("copied source '…'" in 2.0 to 2.35 and Lix, "copying '…'" in 2.36).

What is imported from a place that is new is only named: the question is asked again,
with that place as a further root, and the roots are kept for the next one. The answer
is the same either way. What fails is asked once more in the plain way, so that people
see the errors that they know.
"""

import dataclasses
import json
import os
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import structlog
import trio

from nixeryd.config import paths
from nixeryd.nix.messages import strip_control
from nixeryd.nix.process import Nix, NixFailed
from nixeryd.nix.reads import Reads

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_TOLD = re.compile(r"trace: nixeryd-reads:(\[.*\])")
_COPIED = re.compile(r"(?:copied source|copying) '(/.*?)(?:' ->|' to the store|$)")
_STORE_PATH = re.compile(r"/nix/store/[^/]+")
# Restricted, Nix also asks whether it may fetch; "github:" and such since 2.20.
_URIS = (
    "github: gitlab: sourcehut: https: http: git: ssh: path: file: hg: tarball: flake:"
)
_RESTRICTED = (
    *("--option", "restrict-eval", "true"),
    *("--option", "allowed-uris", f"{_URIS} https:// http:// file:// ssh:// git:// /"),
)
_UNLOCKED = re.compile(r"lock file")  # "not writing modified lock file of flake …"
_TIMES = 8  # that a question is asked while new places come up
_MOST = 30  # roots of one source


async def ask(
    nix: Nix, command: Sequence[str], source: str, inside: Collection[str], reads: Reads
) -> Any:
    """Evaluate one of our files with a package set; return its JSON.

    Adds to `reads` what is not in the directories `inside`, also when it raises
    `NixFailed`.
    """
    answer, failure = None, None
    heard = Reads()
    reads.source = source
    roots = nix.roots.setdefault(source, [])
    new = {source}
    for patience in range(_TIMES, 0, -1):
        found = await trio.to_thread.run_sync(_roots_of, new)
        roots[:] = sorted(found.union(roots[-_MOST:]), key=len)  # outer ones first
        heard, new = Reads(), set()
        failure = None
        try:
            following = ("--argstr", "roots", json.dumps(roots), "-vv")
            answer = await _run(nix, [*command, *following], _listener(heard, new))
        except NixFailed as error:
            failure = error
        nix = dataclasses.replace(nix, on_event=None)  # it was said
        new = await trio.to_thread.run_sync(_on_disk, new)
        if not new:
            break
        if patience == 1:
            heard.unknown = f"it imports from ever more places, such as {min(new)}"
    _leave_out_copies(heard)
    await trio.to_thread.run_sync(_leave_out, heard, inside)
    reads.update(heard)
    if failure is not None:
        answer = json.loads(await nix.run(command, limits=nix.limits))
        reads.unknown = "its reads could not be followed"
        log.warning("evaluated without following reads", said=failure.stderr[-5:])
    return answer


async def ask_flake(nix: Nix, command: Sequence[str], reads: Reads) -> Any:
    """Evaluate one of our files with a flake; return its JSON.

    As `nix build` does it, nothing is there but the flake and what it is locked to. A
    flake that wants more gets it, and what it reads is unknown.
    """
    alone = dataclasses.replace(nix, environment={**nix.environment, "NIX_PATH": ""})
    restricted = (*command, *_RESTRICTED, "-I", f"nixeryd={paths.nix_dir()}")
    try:
        return await _run(alone, restricted, _flake_listener(reads))
    except NixFailed:
        nix = dataclasses.replace(nix, on_event=None)  # it was said
        reads.unknown = "the flake reads more than what it is locked to"
    return json.loads(await nix.run(command, limits=nix.limits))


async def _run(nix: Nix, command: Sequence[str], hear: Callable[[str], None]) -> Any:
    said = await nix.run(command, limits=nix.limits, on_stderr_line=hear)
    return json.loads(said)


def _listener(heard: Reads, untold: set[str]) -> Callable[[str], None]:
    def hear(line: str) -> None:
        line = strip_control(line)
        if told := _TOLD.fullmatch(line):
            kind, what = json.loads(told[1])
            if kind == "untold":
                untold.add(what)
            else:
                heard.add(kind, what)
                if kind == "find":
                    heard.paths.update(("status", path) for path in _channels())
        elif copied := _COPIED.match(line):
            heard.add("tree", copied[1])

    return hear


def _channels() -> list[str]:
    """Return where Nix looks without NIX_PATH, if it is there when Nix starts."""
    home = os.path.expanduser("~")  # noqa: PTH111  text
    return [
        f"{home}/.nix-defexpr/channels",
        f"{home}/.local/state/nix/defexpr/channels",
        "/nix/var/nix/profiles/per-user/root/channels",
    ]


def _flake_listener(reads: Reads) -> Callable[[str], None]:
    def hear(line: str) -> None:
        if told := _TOLD.fullmatch(line):
            reads.add(*json.loads(told[1]))
        elif _UNLOCKED.search(line):
            reads.unknown = "not all of the flake's inputs are in its lock file"

    return hear


def _leave_out_copies(heard: Reads) -> None:
    """Leave out what newer Nix says of a work tree that it fetches.

    fetchGit told of it. Nix 2.26 also says "copied source '/path/'", with a slash, and
    means the files that git knows: as a tree it would depend on all others, and on what
    is in `.git`.
    """
    fetched = {path.rstrip("/") for kind, path in heard.paths if kind == "work tree"}
    heard.paths -= {("tree", f"{path}/") for path in fetched}


def _leave_out(heard: Reads, directories: Collection[str]) -> None:
    """Leave out what is in the store, which never changes, and in directories."""
    is_inside = _Inside(directories)
    heard.paths = {read for read in heard.paths if not is_inside(read[1])}


class _Inside:
    """Tells whether a path is in one of these directories, or in the store.

    It is if it is so both as written and with all links resolved. What git keeps in a
    repository is not: nothing answers for that.
    """

    def __init__(self, directories: Collection[str]) -> None:
        self._written = tuple(f"{directory.rstrip('/')}/" for directory in directories)
        self._real = tuple(f"{os.path.realpath(one)}/" for one in directories)
        self._known: dict[str, bool] = {}

    def __call__(self, path: str) -> bool:
        path = os.path.normpath(path)
        if store_path := _STORE_PATH.match(path):
            return Path(store_path[0]).exists()
        if not f"{path}/".startswith(self._written):
            return False
        parent, _, name = path.rpartition("/")
        if parent not in self._known:
            self._known[parent] = self._is_below(os.path.realpath(parent))
        if name == ".git" or not self._known[parent]:
            return f"{path}/" in self._written
        return not Path(path).is_symlink() or self._is_below(os.path.realpath(path))

    def _is_below(self, real: str) -> bool:
        return f"{real}/".startswith(self._real) and "/.git/" not in f"{real}/"


def _on_disk(places: Collection[str]) -> set[str]:
    """Leave out what is part of Nix, as <nix/fetchurl.nix>: it is always the same."""
    return {place for place in places if os.path.lexists(place)}


def _roots_of(places: Collection[str]) -> set[str]:
    """Return the directories to which imported files belong.

    A whole store path or git repository: one import from it is seldom the last.
    """
    return {_root_of(Path(place)) for place in places}


def _root_of(place: Path) -> str:
    if match := _STORE_PATH.match(str(place)):
        return match[0]
    directory = place if place.is_dir() else place.parent
    for above in (directory, *directory.parents):
        if (above / ".git").exists() and above != Path.home():
            return str(above)
    return str(directory)
