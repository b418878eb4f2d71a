"""Engines by their command lines: docker, podman, nerdctl.

Law: a command is words, never a shell's text, and the user's options come after
ours, so that theirs win.
"""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from nixeryd.images.errors import NixerydError
from nixeryd.layers.thin import MOUNT

KINDS = ("docker", "podman", "nerdctl")
_PATIENCE = 10  # seconds
# "Docker version 28.0.1, build …", "podman version 5.4.2", "nerdctl version 2.0.3"
_VERSION = re.compile(
    rf"^({'|'.join(KINDS)})\b.* version ", re.IGNORECASE | re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine: what it is, and the words that call it."""

    kind: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.words)

    def pull(self, image: str) -> list[str]:
        """Return the command that pulls an image and says little."""
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
        """Return the command that runs a pulled image; `usual` are options of ours."""
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
    if not words or shutil.which(words[0]) is None:
        name = words[0] if words else repr(text)
        raise NixerydError(f"{name} is not installed, or not on PATH")
    kind = _kind(words)
    if kind is None:
        raise NixerydError(
            f"the engine {text!r} is none of {', '.join(KINDS)}: nothing of that kind"
            f" answers {shlex.join((*words, '--version'))}"
        )
    return Engine(kind, words)


def _kind(words: tuple[str, ...]) -> str | None:
    """Ask a command what it is; its name counts only if it does not say.

    `docker` may be podman's, and an engine may have any name.
    """
    try:
        said = subprocess.run(
            [*words, "--version"],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        said = ""
    if answer := _VERSION.search(said):
        return answer[1].lower()
    named = (PurePath(word).name for word in words)
    return next((name for name in named if name in KINDS), None)


def installed() -> Iterator[Engine]:
    """Return the engines that are on PATH, the usual one first."""
    for kind in KINDS:
        if shutil.which(kind):
            yield Engine(_kind((kind,)) or kind, (kind,))
