"""What an installation is: files to write, commands to run, words to say."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MARK = "Written by `nixeryd service install`; `nixeryd service uninstall` removes it."

# What a login shell has and a service manager has not, as far as Nix, git, the
# network and we look at it. Not NIX_CONFIG: it may hold access tokens.
_KEPT = {
    "DOCKER_CONFIG",
    "GIT_SSL_CAINFO",
    "LOCALE_ARCHIVE",
    "NIX_CONF_DIR",
    "NIX_PATH",
    "NIX_PROFILES",
    "NIX_REMOTE",
    "NIX_SSL_CERT_FILE",
    "NIX_STATE_DIR",
    "NIX_TIMEOUT",
    "NIX_USER_CONF_FILES",
    "PATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
}
_KEPT_BEGINNINGS = ("NIXERYD_", "NIXERY_", "NIXPKGS_")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


@dataclass(frozen=True, slots=True)
class Plan:
    """`files` by their place; `start` and `stop` are commands, in order."""

    files: Mapping[Path, str]
    start: tuple[tuple[str, ...], ...]
    stop: tuple[tuple[str, ...], ...]


def kept_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables that the daemon needs of this shell."""
    return {
        name: value
        for name, value in sorted(environ.items())
        if "\n" not in value
        and (
            name in _KEPT
            or name.startswith(_KEPT_BEGINNINGS)
            or name.lower() in _PROXIES
        )
    }
