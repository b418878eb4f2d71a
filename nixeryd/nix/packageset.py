"""A package set, as Nix is told of it: a path or a flake, and what people call it.

The law: what is asked of it reaches Nix as strings and never as code.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import trio

from nixeryd.config import paths
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.nix import told
from nixeryd.nix.options import Options
from nixeryd.nix.process import Nix, NixFailed
from nixeryd.nix.reads import Reads
from nixeryd.nix.reasons import explain
from nixeryd.nix.restricted import ENVIRONMENT, restrict

_NONE = Options()
_FLAKES = ("--option", "experimental-features", "nix-command flakes")


class EvaluationFailed(RegistryError):  # noqa: N818  the interface's name
    """Nix refused: 403, the status whose message clients show.

    `names` are the packages that failed; empty if it is the source itself.
    """

    def __init__(self, message: str, names: Sequence[str] = ()) -> None:
        super().__init__(ErrorCode.DENIED, message)
        self.names = tuple(names)


@dataclass(frozen=True, slots=True)
class PackageSet:
    """The set at `path`, a directory or a .nix file; or of a `flake`.

    A flake's reference is such as git+file:///home/u/app. `label` is how messages
    name the set, if not by its place. `only` is the one directory that evaluation may
    read beside the store, for a set that nobody here has looked at. `advice` is said
    where a package is missing. What is in the directories `inside` somebody else
    watches. `options` are for a set that is nixpkgs.
    """

    path: Path | None = None
    flake: str | None = None
    label: str | None = None
    only: Path | None = None
    advice: str = ""
    inside: tuple[str, ...] = ()
    options: Options = _NONE

    @property
    def called(self) -> str:
        """Its name in messages."""
        return self.label or self.flake or os.path.abspath(self.path or "")  # noqa: PTH100  text

    async def check(self) -> None:
        """Raise `EvaluationFailed` if it is not there at all."""
        if self.path is not None and not await trio.Path(self.path).exists():
            raise EvaluationFailed(f"the package source {self.called} does not exist")

    async def ask(
        self,
        nix: Nix,
        file: str,
        arguments: Mapping[str, str],
        reads: Reads,
        *,
        trace: bool = False,
    ) -> Any:
        """Evaluate one of our own files, which gets the set and these strings.

        Return its JSON, and add what it read to `reads`; derivations on the way are
        written. With `trace`, errors come with all that led to them, for `explain`.
        Raises `NixFailed`, or `EvaluationFailed` if it takes too long.
        """
        # nix-instantiate wants an absolute path, or takes it for one of <…>.
        place = str(Path("/") if self.path is None else self.path.absolute())
        ours = paths.nix_dir().resolve()
        said = {"source": place, **arguments}
        if self.flake is not None:
            said["flake"] = self.flake
        if self.options:
            said["config"] = self.options.config or "{}"
            said["overlays"] = json.dumps([str(one) for one in self.options.overlays])
        strings = [part for pair in said.items() for part in ("--argstr", *pair)]
        command = [
            "nix-instantiate",
            "--eval",
            "--strict",
            "--json",
            "--read-write-mode",  # writes derivations, which --eval alone doesn't
            str(ours / file),
            *strings,
            *(_FLAKES if self.flake is not None else ()),
            *(["--show-trace"] if trace and nix.has_causes_last else ()),
        ]
        with trio.move_on_after(nix.limits.deadline):
            if self.flake is not None:
                return await told.ask_flake(nix, command, reads)
            if self.only is None:
                return await told.ask(nix, command, place, self.inside, reads)
            # All that it can read is the same always, but for the user's overlays.
            command = restrict(command, (ours, self.only, *self.options.overlays))
            for overlay in self.options.overlays:
                reads.add("tree", str(overlay))
            nix = replace(nix, environment={**nix.environment, **ENVIRONMENT})
            return json.loads(await nix.run(command, limits=nix.limits))
        raise EvaluationFailed(
            f"{self.called} takes more than {nix.limits.seconds} s to evaluate: it may"
            " not end at all; if it does, raise nix.evaluation_timeout"
        )

    def explain(self, nix: Nix, error: NixFailed) -> str:
        """Say why Nix failed to evaluate, and where in the set."""
        place = None if self.path is None else str(self.path.absolute())
        said = explain(
            error.stderr, error.status, memory=nix.limits.memory, source=place
        )
        return (self.flake is None and self.options.how_to_allow(said)) or said
