"""Find the developer's nixpkgs checkout when none is configured.

In the order people expect: where they stand, `<nixpkgs>` as Nix itself would
find it (NIX_PATH, channels), then the usual places of a clone.
"""

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
    """Tell whether this looks like nixpkgs, by two files that it always has."""
    return (directory / "default.nix").is_file() and (
        directory / "pkgs" / "top-level"
    ).is_dir()


async def find_checkout(nix: Nix, here: Path) -> Path | None:
    """Give the checkout that a developer who stands in `here` means, if any."""
    for directory in (here, *here.parents):
        if is_checkout(directory):
            return directory
    if found := await _nix_path(nix):
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
