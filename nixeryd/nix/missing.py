"""What of an image is not in the store, and whether it can be made without a network.

Asked only when there is none: Nix would otherwise try, one path after the other,
and report the first that failed. A derivation whose output is known beforehand
(fixed-output) is a download; all others are built from what is there.

Nix manual: `nix-store --realise --dry-run`; a .drv file is an ATerm, whose outputs
are ("out", path, hash algorithm, hash), the last two "" unless fixed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.nix.process import Nix

_PATH = re.compile(r"  (?P<path>/\S+)$")
_FIXED = re.compile(rb'Derive\(\[\("out","[^"]*","[^"]+"')
_NAMED = 5  # of what is missing, in a message


@dataclass(frozen=True, slots=True)
class Missing:
    """What must be made: derivations, and paths that nothing here can make.

    `downloads` are those of them that need a network.
    """

    paths: tuple[str, ...]
    downloads: tuple[str, ...]


class MissingOffline(RegistryError):  # noqa: N818  what is the matter
    """An image needs a network, and there is none: 403, whose message clients show."""

    is_transient = True

    def __init__(self, missing: Missing, why: str) -> None:
        number = len(missing.paths)
        names = [_name(path) for path in missing.downloads]
        some = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        super().__init__(
            ErrorCode.DENIED,
            f"offline ({why}): {number} store path{'s are' if number > 1 else ' is'}"
            f" missing, and {len(names)} of them can only be downloaded: {some}. Pull"
            " it once with a network; what is in the store can be pulled any time",
        )
        self.missing = missing


async def require_present(nix: Nix, installables: Sequence[str], why: str) -> None:
    """Raise `MissingOffline` if making these needs a network; builds nothing."""
    missing = await query_missing(nix, installables)
    if missing.downloads:
        raise MissingOffline(missing, why)


async def query_missing(nix: Nix, installables: Sequence[str]) -> Missing:
    """Ask what would have to be made for these; asks no substituter if offline."""
    paths: list[str] = []

    def note(line: str) -> None:
        if match := _PATH.match(line):
            paths.append(match["path"])

    argv = ["nix-store", "--realise", "--dry-run", *installables]
    await nix.run(argv, on_stderr_line=note)
    downloads = await trio.to_thread.run_sync(_downloads, paths)
    return Missing(tuple(paths), downloads)


def _downloads(paths: Sequence[str]) -> tuple[str, ...]:
    return tuple(path for path in paths if _is_download(path))


def _is_download(path: str) -> bool:
    if not path.endswith(".drv"):
        return True  # nobody here knows how to make it
    try:
        with Path(path).open("rb") as file:
            return _FIXED.match(file.read(4096)) is not None
    except OSError:
        return False  # not ours to read: Nix will say


def _name(path: str) -> str:
    return path.rpartition("/")[2].partition("-")[2].removesuffix(".drv")
