"""Evaluate what nobody here has looked at: it reads its own files, and fetches nothing.

Nix's restricted mode, tightened: no file but those below the directories on `-I` and
of the store, no variable of the environment, no URI, no building during evaluation,
nothing experimental (`fetchTree`, flakes), and no program on PATH, so that an older
Nix finds neither git nor hg. What is given here is stronger than any nix.conf.

Nix manual, "restrict-eval", "allowed-uris", "allow-import-from-derivation".
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

_SETTINGS = {
    "restrict-eval": "true",
    "allowed-uris": "",
    "allow-import-from-derivation": "false",
    "allow-unsafe-native-code-during-evaluation": "false",
    "experimental-features": "",
    "nix-path": "",
}
ENVIRONMENT = {"NIX_PATH": "", "PATH": "/var/empty", "GIT_ALLOW_PROTOCOL": "none"}
# What versions 2.8 to 2.34 say.
_REFUSED = re.compile(
    r"is forbidden in (?:restricted|pure eval\w*) mode"
    r"|allow-import-from-derivation"
    r"|experimental Nix feature '[\w-]+' is disabled"
    r"|attribute '(?:fetchTree|getFlake|fetchClosure|exec)' missing"
    r"|was not found in the Nix search path"
)


def restrict(command: Sequence[str], readable: Iterable[Path]) -> list[str]:
    """Return a command of nix-instantiate that reads these directories only."""
    options = [word for pair in _SETTINGS.items() for word in ("--option", *pair)]
    # With a prefix, so that no <name> finds a file of theirs by chance.
    places = [f"nixeryd-{n}={place}" for n, place in enumerate(readable)]
    return [*command, *options, *(word for place in places for word in ("-I", place))]


def is_refusal(message: str) -> bool:
    """Return whether an evaluation failed because it wanted what it may not have."""
    return _REFUSED.search(message) is not None
