"""Where each setting comes from: default, file, variable or flag.

Settings have the names that config.toml gives them, with dots between:
`cache.max_size`, `upstreams."docker.io".url`.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from nixeryd.config.settings import (
    COMMAND_LINE,
    ENVIRONMENT,
    Settings,
    from_environment,
    load_settings,
    read_layers,
)
from nixeryd.images.logins import mask_all

DEFAULT = "default"
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")  # of TOML


@dataclass(frozen=True, slots=True)
class Setting:
    """A value in force, and what set it."""

    name: str
    value: object
    origin: str


def explain_settings(
    file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    flags: Mapping[str, Any] | None = None,
) -> list[Setting]:
    """Return all settings, for people to read; raises `ConfigError`."""
    settings = load_settings(file, environ, flags)
    variables = {_dotted(w): name for name, w, _ in from_environment(environ)}
    origins: dict[str, str] = {}
    for origin, layer in read_layers(file, environ, flags):
        for where, _ in _leaves(layer, ()):
            name = _dotted(where)
            if origin == ENVIRONMENT:
                origins[name] = variables[name]
            elif origin == COMMAND_LINE:
                origins[name] = _flag(where)
            else:
                origins[name] = origin
    return [
        Setting(name, mask_all(value), origins.get(name, DEFAULT))
        for name, value in flatten(settings).items()
    ]


def flatten(settings: Settings) -> dict[str, object]:
    """Return the settings by their names, as JSON values, secrets included."""
    plain = msgspec.to_builtins(settings)
    return {_dotted(where): value for where, value in _leaves(plain, ())}


def _leaves(
    table: Mapping[str, Any], above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], object]]:
    for name, value in table.items():
        where = (*above, name)
        if isinstance(value, Mapping):
            yield from _leaves(value, where)
        else:
            yield where, value


def _dotted(where: tuple[str, ...]) -> str:
    return ".".join(
        part if _BARE_KEY.fullmatch(part) else f'"{part}"' for part in where
    )


def _flag(where: tuple[str, ...]) -> str:
    if where in {("source",), ("sources", "nixpkgs", "path")}:
        return "--nixpkgs"
    return "--" + where[-1].replace("_", "-")
