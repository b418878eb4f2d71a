"""What a source gives its nixpkgs: `config` and `overlays`, and how to allow a package.

Nixpkgs manual, "Global configuration" and "Overlays". What the user has in
~/.config/nixpkgs is left out on purpose: an image is made of its name and its source.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments of a package set; `source` is its name in config.toml.

    `config` is JSON, or "" for none; `overlays` are files or directories to import.
    """

    source: str = ""
    config: str = ""
    overlays: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.config or self.overlays)

    def mark(self, fingerprint: str) -> str:
        """Return the fingerprint of a source with these options."""
        if not self:
            return fingerprint
        text = repr((self.config, [str(path) for path in self.overlays]))
        return f"{fingerprint} {sha256(text.encode()).hexdigest()}"

    def how_to_allow(self, message: str) -> str | None:
        """Return what Nix said of a package that nixpkgs refuses, and what allows it.

        None if the package fails for another reason.
        """
        for pattern, setting in _REFUSALS:
            if found := pattern.search(message):
                said = _ADVICE.split(message)[0].strip()
                table = self.source or "nixpkgs"
                return (
                    f"{said}\nTo allow it, write to config.toml, below"
                    f" [sources.{table}]: config = {{ {setting(found)} }}"
                )
        return None


def _always(setting: str) -> Callable[[re.Match[str]], str]:
    return lambda _: setting


# Nixpkgs quotes with typographic marks, older ones with plain ones.
_NAME = r"[\u2018'\"`](?P<name>[^\u2019'\"`]+)[\u2019'\"`]"
_REFUSALS: Final = (
    (re.compile(r"has an unfree license"), _always("allowUnfree = true")),
    (
        re.compile(rf"(?s)Package {_NAME}.*is marked as insecure"),
        lambda found: f'permittedInsecurePackages = ["{found["name"]}"]',
    ),
    (re.compile(r"is marked as broken"), _always("allowBroken = true")),
    (
        re.compile(r"is not (?:supported|available) on "),
        _always("allowUnsupportedSystem = true"),
    ),
)
# Where nixpkgs begins to tell of settings that do not count here.
_ADVICE = re.compile(r"(?m)^\s*(?:a\) To temporarily|You can install it anyway)")
