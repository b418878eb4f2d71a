"""A closure: all store paths an image needs at run time.

Nix manual, "Closure" and `nix path-info`. Sizes are NAR sizes in bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PathInfo:
    """One store path: full name, NAR size in bytes, and what it refers to.

    `references` are full store paths, sorted, without the path itself.
    `nar_hash` (as Nix wrote it) tells two builds of one path apart.
    """

    path: str
    nar_size: int
    references: tuple[str, ...]
    nar_hash: str = ""


Closure = Mapping[str, PathInfo]
