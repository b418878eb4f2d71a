"""Search: which of a package set's names a person may mean, best first.

A name is shown as an image name spells it: in lower case, a leading digit without
nixpkgs' underscore. What no image name can spell is not found.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nixeryd.images.names import spells_component

NESTED = (
    "beamPackages",
    "coqPackages",
    "emacsPackages",
    "gnomeExtensions",
    "haskellPackages",
    "kdePackages",
    "luaPackages",
    "nodePackages",
    "ocamlPackages",
    "perlPackages",
    "phpPackages",
    "python3Packages",
    "rPackages",
    "rubyPackages",
    "vimPlugins",
    "xorg",
)
"""The sets of nixpkgs in which people look for packages."""


@dataclass(frozen=True, slots=True)
class Match:
    """A name in an image, and the attribute that it means."""

    name: str
    attribute: str


def image_name(attribute: str) -> str | None:
    """Spell an attribute as an image name can; None if none can."""
    name = attribute.lower()
    if name[:1] == "_" and name[1:2].isdigit():
        name = name[1:]
    return name if spells_component(name) else None


def search(attributes: Iterable[str], query: str, limit: int) -> list[Match]:
    """Return up to `limit` attributes whose names have all words of the query.

    The word itself first, then what begins with it, then with a part that does;
    top-level ones before nested ones, short ones before long ones.
    """
    words = query.lower().split()
    if not words:
        return []
    found: dict[str, tuple[tuple[int, int, int, str], str]] = {}
    for attribute in attributes:
        folded = attribute.lower()
        if not all(word in folded for word in words):
            continue
        name = image_name(attribute)
        # Of names that differ in case only, Nix takes the exact one first.
        if name is None or (name in found and attribute != name):
            continue
        found[name] = (_rank(name, words), attribute)
    best = heapq.nsmallest(limit, found.items(), key=lambda item: item[1][0])
    return [Match(name, attribute) for name, (_, attribute) in best]


def _rank(name: str, words: Sequence[str]) -> tuple[int, int, int, str]:
    last = name.rpartition(".")[2]
    return (
        sum(_distance(last, word) for word in words),
        name.count("."),
        len(name),
        name,
    )


def _distance(name: str, word: str) -> int:
    if name == word:
        return 0
    if name.startswith(word):
        return 1
    if any(f"{joint}{word}" in name for joint in "-_."):
        return 2
    return 3 if word in name else 4  # then the set's own name has it
