"""Ask the daemon that runs, for `nixeryd doctor`."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from nixeryd.cli.client import Client
from nixeryd.config.settings import Settings, Source
from nixeryd.doctor.running import Running
from nixeryd.images.errors import NixerydError
from nixeryd.sources.opening import DEMO


def ask_running(config: Path | None, data_dir: Path | None) -> Running | None:
    """Ask the daemon that the settings mean; None if there is none."""
    try:
        client = Client(config, data_dir)
        status = client.get("/api/v1/status")
        settings = _read(client.get("/api/v1/config"))
    except NixerydError:
        return None
    source = status["source"]
    sources = settings.sources
    if not sources and source["name"] != DEMO:  # it was found
        sources = {source["name"]: Source(path=source["path"])}
    listen = status["listeners"]["main"]
    mirror = status["listeners"].get("mirror", [])
    return Running(
        pid=status["pid"],
        settings=msgspec.structs.replace(
            settings,
            sources=sources,
            listen=tuple(listen),
            mirror_listen=tuple(mirror),
            data_dir=status["data_dir"],
            offline=bool(status["offline"]),
        ),
        source=source["name"],
        state=source["state"],
        tells_users=status["tells_users"],
    )


def _read(flat: Mapping[str, Any]) -> Settings:
    """Read settings that are given by their names, which are TOML's."""
    lines = (f"{name} = {json.dumps(value)}" for name, value in flat.items())
    try:
        return msgspec.convert(tomllib.loads("\n".join(lines)), Settings)
    except (msgspec.ValidationError, tomllib.TOMLDecodeError) as error:
        raise NixerydError(
            f"the daemon that runs has settings of another version: {error}"
        ) from error
