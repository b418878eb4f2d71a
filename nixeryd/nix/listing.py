"""The names in a package set: its attributes, and those of nixpkgs' nested sets."""

import json
from collections.abc import Callable
from typing import Any

from nixeryd.nix.packageset import PackageSet
from nixeryd.nix.process import Nix, NixFailed
from nixeryd.nix.ranking import NESTED
from nixeryd.nix.reads import Reads


async def list_names(
    nix: Nix,
    found: PackageSet,
    system: str,
    reads: Reads,
    on_failure: Callable[[str, NixFailed], None] = lambda *_: None,
) -> list[str]:
    """List the names of a package set, such as `git` and `python3Packages.requests`.

    A nested set may break off the whole evaluation. Then each is listed by itself, and
    `on_failure` is told of those that fail. Raises `NixFailed` if the set itself does.
    """
    names: list[str]
    try:
        names = await query_names(nix, found, system, reads, nested=NESTED)
    except NixFailed:
        names = await query_names(nix, found, system, reads)
    else:
        return names
    for nested in set(NESTED).intersection(names):
        try:
            more = await query_names(nix, found, system, reads, nested=(nested,))
        except NixFailed as error:
            on_failure(nested, error)
        else:
            names += [name for name in more if name.startswith(f"{nested}.")]
    return names


async def query_names(  # noqa: PLR0913  each is a word of the question
    nix: Nix,
    found: PackageSet,
    system: str,
    reads: Reads,
    *,
    names: tuple[str, ...] = (),
    nested: tuple[str, ...] = (),
) -> Any:
    """Ask nix/search.nix: for a list of all names, or for what is said of `names`."""
    arguments = {
        "system": system,
        "names": json.dumps(names),
        "nested": json.dumps(nested),
    }
    return await found.ask(nix, "search.nix", arguments, reads)
