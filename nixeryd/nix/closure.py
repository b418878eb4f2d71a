"""Read a closure: from Nix's database (`storedb`), or `nix path-info --recursive`.

The latter's JSON has had four shapes, told apart by themselves:
a list (Nix up to 2.18, and Lix); a map from full paths (2.19); and with
"version" 2 or 3 a map from base names beside "storeDir" (2.33, 2.35).

https://nix.dev/manual/nix/latest/command-ref/new-cli/nix3-path-info
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import trio

from nixeryd.images.closures import Closure, PathInfo
from nixeryd.images.errors import NixerydError
from nixeryd.nix import messages
from nixeryd.nix.process import Nix, NixFailed
from nixeryd.nix.storedb import read_closure


async def query_closure(nix: Nix, roots: Sequence[str]) -> Closure:
    """Return the closure of store paths that are valid; raises `NixerydError`."""
    if not roots:
        return {}
    if not nix.is_remote:
        known = await trio.to_thread.run_sync(read_closure, nix.database, roots)
        if known is not None:
            return known
    return await _query(nix, "the closure", ["--recursive", *roots])


async def query_store(nix: Nix) -> list[PathInfo]:
    """Return all valid paths of the store, derivations too; raises `NixerydError`."""
    return list((await _query(nix, "the store", ["--all"])).values())


async def _query(nix: Nix, what: str, which: Sequence[str]) -> Closure:
    argv = [
        "nix",
        "--extra-experimental-features",
        "nix-command",
        "path-info",
        "--json",
        *(["--json-format", "1"] if nix.has_json_format else []),
        *which,
    ]
    try:
        stdout = await nix.run(argv)
    except NixFailed as error:
        said = messages.error_message(error.stderr)
        raise NixerydError(f"{what} cannot be read: {said}") from error
    return parse_path_info(stdout)


def parse_path_info(text: str | bytes) -> Closure:
    """Read path-info's JSON of any version; raises `NixerydError`."""
    try:
        return {info.path: info for info in _path_infos(json.loads(text))}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NixerydError(
            f"nix path-info gave JSON of an unknown shape ({error!r})"
        ) from error


def _path_infos(document: Any) -> Iterator[PathInfo]:
    if isinstance(document, list):
        for entry in document:
            yield _path_info(entry["path"], entry)
    elif "version" in document and isinstance(document.get("info"), dict):
        prefix = document["storeDir"] + "/"
        for name, entry in document["info"].items():
            yield _path_info(name, entry, prefix)
    else:
        for path, entry in document.items():
            yield _path_info(path, entry)


def _path_info(name: str, entry: dict[str, Any] | None, prefix: str = "") -> PathInfo:
    path = prefix + name
    # An invalid path: {"valid": false} in lists, null in maps.
    if entry is None or entry.get("valid") is False or "narSize" not in entry:
        raise NixerydError(f"{path} is not in the Nix store")
    references = {prefix + reference for reference in entry["references"]} - {path}
    return PathInfo(
        path,
        int(entry["narSize"]),
        tuple(sorted(references)),
        str(entry.get("narHash", "")),
    )
