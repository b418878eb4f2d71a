"""Paths that are in the store already, such as `./result` of a build by hand."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.images.names import ImageName
from nixeryd.nix.evaluate import Evaluation, ResolvedPackage
from nixeryd.nix.process import Nix
from nixeryd.nix.reads import Reads
from nixeryd.sources.source import State

_STORE = "/nix/store"
_HASH = 32  # characters


class NotInStore(RegistryError):  # noqa: N818  what is the matter
    """There is no such path: 404. There may be one any moment."""

    is_transient = True


@dataclass(frozen=True, slots=True)
class StorePaths:
    """The source of images that are named by store paths: they never change."""

    name: str = "store"

    async def ready(self) -> "StorePaths":
        """Return itself: it is here."""
        return self

    async def fingerprint(self) -> str:
        """Return the same always: the image's name says it all."""
        return self.name

    async def state(self) -> State:
        """Return the same always."""
        return State(self.name, 0)

    async def revision(self) -> None:
        """Return none: it is not of any repository."""

    async def evaluate(self, nix: Nix, image: ImageName, reads: Reads) -> Evaluation:
        """Find the paths; MANIFEST_UNKNOWN if one is not there."""
        del nix, reads
        return Evaluation(await find_store_paths(image.store_paths))


async def find_store_paths(names: Sequence[str]) -> tuple[ResolvedPackage, ...]:
    """Find paths by their hashes; MANIFEST_UNKNOWN if one is not in the store."""
    if not names:
        return ()
    found = await trio.to_thread.run_sync(_find, tuple(names))
    return tuple(_as_package(name, found[name]) for name in found)


def _find(names: tuple[str, ...]) -> dict[str, str]:
    hashes = {name[:_HASH] for name in names}
    try:
        # Some 0.1 s for 100,000 names: the same as asking Nix, without its database.
        with os.scandir(_STORE) as entries:
            there = {
                e.name[:_HASH]: e.name for e in entries if e.name[:_HASH] in hashes
            }
    except OSError as error:
        message = f"{_STORE} cannot be read: {error.strerror}"
        raise RegistryError(ErrorCode.DENIED, message) from error
    found: dict[str, str] = {}
    for name in names:
        path = there.get(name[:_HASH])
        if path is None or not path.lower().startswith(name):
            other = f", but {path}" if path else ""
            raise NotInStore(
                ErrorCode.MANIFEST_UNKNOWN, f"there is no {_STORE}/{name}{other}"
            )
        found[name] = f"{_STORE}/{path}"
    return found


def _as_package(name: str, path: str) -> ResolvedPackage:
    return ResolvedPackage(
        attribute=name,
        drv_path=path,
        outputs=(path,),
        output_names=(),
        name=path.rpartition("/")[2][_HASH + 1 :],
        main_program=None,
    )
