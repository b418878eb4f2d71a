"""Find the developer's nixpkgs checkout when none is configured.

In the order people expect: where they stand, `<nixpkgs>` as Nix itself would
find it (NIX_PATH, channels), where the user or the system pinned the flake registry's
nixpkgs to, then the usual places of a clone.
"""

import json
import os
from pathlib import Path

import trio

from nixeryd.nix.process import Nix, NixFailed

_USUAL_PLACES = (
    "~/nixpkgs",
    "~/src/nixpkgs",
    "~/code/nixpkgs",
    "~/dev/nixpkgs",
    "~/git/nixpkgs",
    "~/projects/nixpkgs",
)


def is_checkout(directory: Path) -> bool:
    """Return whether this looks like nixpkgs, by two files that it always has."""
    return (directory / "default.nix").is_file() and (
        directory / "pkgs" / "top-level"
    ).is_dir()


async def find_checkout(nix: Nix, here: Path) -> Path | None:
    """Return the checkout that a developer who stands in `here` means, if any."""
    for directory in (here, *here.parents):
        if is_checkout(directory):
            return directory
    if found := await _nix_path(nix):
        return found
    if found := await trio.to_thread.run_sync(_registry):
        return found
    for place in map(Path, _USUAL_PLACES):
        directory = place.expanduser()
        if is_checkout(directory):
            return directory
    return None


async def _nix_path(nix: Nix) -> Path | None:
    try:
        said = await nix.run(["nix-instantiate", "--find-file", "nixpkgs"])
    except NixFailed:
        return None
    path = Path(said.decode(errors="surrogateescape").strip())
    return path if await trio.Path(path).is_dir() else None


def _registry() -> Path | None:
    """Look where flakes do, for a pin to a directory: nothing is fetched.

    Nix manual, `nix registry`, "Registry format".
    """
    home = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    for file in (home / "nix" / "registry.json", Path("/etc/nix/registry.json")):
        try:
            entries = json.loads(file.read_text())["flakes"]
            pins = [
                Path(entry["to"]["path"])
                for entry in entries
                if entry["from"].get("id") == "nixpkgs"
                and entry["to"]["type"] == "path"
            ]
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            continue
        for pin in pins:
            if is_checkout(pin):
                return pin
    return None
