"""Engines by their command lines: docker, podman, nerdctl.

Law: a command is words, never a shell's text, and the user's options come after
ours, so that theirs win.
"""

import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from nixeryd.images.errors import NixerydError
from nixeryd.images.thin import MOUNT

KINDS = ("docker", "podman", "nerdctl")


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine: what it is, and the words that call it."""

    kind: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.words)

    def pull(self, image: str) -> list[str]:
        """Give the command that pulls an image and says little."""
        return [*self.words, "pull", "--quiet", *self._plain_http(), image]

    def run(
        self,
        image: str,
        options: Sequence[str],
        command: Sequence[str],
        *,
        is_thin: bool,
        usual: Sequence[str],
    ) -> list[str]:
        """Give the command that runs a pulled image; `usual` are options of ours."""
        mount = [f"--volume={MOUNT}"] if is_thin else []
        return [*self.words, "run", *usual, *mount, *options, image, *command]

    def _plain_http(self) -> list[str]:
        # The others know what localhost means.
        return ["--tls-verify=false"] if self.kind == "podman" else []


def parse_engine(text: str) -> Engine:
    """Read a command such as "podman" or "sudo docker"; raises `NixerydError`."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise NixerydError(f"the engine {text!r} cannot be read: {error}") from error
    kinds = [kind for word in words if (kind := PurePath(word).name) in KINDS]
    if not kinds:
        raise NixerydError(f"the engine {text!r} is none of {', '.join(KINDS)}")
    if shutil.which(words[0]) is None:
        raise NixerydError(f"{words[0]} is not installed, or not on PATH")
    return Engine(kinds[0], words)


def installed() -> Iterator[Engine]:
    """Give the engines that are on PATH, the usual one first."""
    for kind in KINDS:
        if shutil.which(kind):
            yield Engine(kind, (kind,))
