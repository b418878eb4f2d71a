"""Layering: which store paths go into which layer.

Nixery's algorithm: what a requested package alone brings along is a layer with
it; what is popular, or brings more than 100 MB, is a layer of its own, since
other images are likely to have it too. Over the budget, the layers that are
least worth keeping apart become one. A plan depends on the closure, the roots
and the popularity alone, never on the order they come in.

https://github.com/tazjin/nixery/blob/master/layers/layers.go
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from nixeryd.images.closures import Closure
from nixeryd.images.graphs import (
    UNREACHABLE,
    closure_weights,
    immediate_dominators,
)

# Overlay file systems stop at 127 layers; what is built upon an image needs some.
DEFAULT_BUDGET: Final = 94
BIG: Final = 100_000_000
"""Bytes of NAR; a path that brings more than this is split off."""
POPULAR: Final = 100
"""Referrers in the whole package set; a path that has as many is split off."""

# In every image, though hardly any package refers to them; glibc has about 300,000.
_IN_EVERY_IMAGE: Final = re.compile(r"(?:nss-cacert|iana-etc)(?:-[0-9].*)?")
_HIGHEST: Final = 500_000
_HASH: Final = re.compile(r".*/[0-9a-z]{32}-")
_ROOT: Final = 0


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """A layer to be: sorted store paths, their NAR bytes together, and its rating.

    The rating (popularity times bytes) says how much is gained by keeping it apart.
    """

    paths: tuple[str, ...]
    nar_size: int
    rating: int


def plan_layers(
    closure: Closure,
    roots: Sequence[str],
    popularity: Mapping[str, int],
    budget: int = DEFAULT_BUDGET,
) -> tuple[LayerPlan, ...]:
    """Put every path of the closure into exactly one of at most `budget` layers.

    Best rating first; ties go by path. `popularity` is keyed by package name, as
    in `glibc-2.40`. References out of the closure are ignored; a path that no
    root leads to is treated as a root. Raises ValueError if there is no budget,
    KeyError if a root is not in the closure.
    """
    if budget < 1:
        raise ValueError(f"a budget of {budget} layers holds nothing")
    paths = sorted(closure)
    number = {path: index for index, path in enumerate(paths, start=_ROOT + 1)}
    successors: list[list[int]] = [[]]
    successors += [
        [
            number[ref]
            for ref in closure[path].references
            if ref in number and ref != path
        ]
        for path in paths
    ]
    sizes = [0, *(closure[path].nar_size for path in paths)]
    popularities = [0, *(_popularity(path, popularity) for path in paths)]

    closure_sizes = closure_weights(successors, sizes)
    top = {number[root] for root in roots}
    top |= {
        node
        for node in number.values()
        if closure_sizes[node] > BIG or popularities[node] >= POPULAR
    }
    successors[_ROOT] = sorted(top)
    dominators = immediate_dominators(successors, _ROOT)
    if UNREACHABLE in dominators:
        stray = [node for node, by in enumerate(dominators) if by == UNREACHABLE]
        successors[_ROOT] = sorted(top.union(stray))
        dominators = immediate_dominators(successors, _ROOT)

    groups: dict[int, list[int]] = {}
    for node, head in enumerate(_heads(dominators)):
        if node != _ROOT:
            groups.setdefault(head, []).append(node)
    layers = []
    for head, members in groups.items():
        size = sum(sizes[node] for node in members)
        names = tuple(paths[node - 1] for node in members)
        layers.append(LayerPlan(names, size, popularities[head] * size))
    return _merge(layers, budget)


def _popularity(path: str, popularity: Mapping[str, int]) -> int:
    """Count the referrers of the package that a store path is named after."""
    name = _HASH.sub("", path)
    if _IN_EVERY_IMAGE.fullmatch(name):
        return _HIGHEST
    return popularity.get(name, 1)


def _heads(dominators: Sequence[int]) -> list[int]:
    """Return for each node the child of the root that dominates it."""
    heads = [UNREACHABLE] * len(dominators)
    heads[_ROOT] = _ROOT
    for node in range(len(dominators)):
        trail = []
        at = node
        while heads[at] == UNREACHABLE and dominators[at] != _ROOT:
            trail.append(at)
            at = dominators[at]
        head = at if heads[at] == UNREACHABLE else heads[at]
        heads[at] = head
        for passed in trail:
            heads[passed] = head
    return heads


def _merge(layers: Sequence[LayerPlan], budget: int) -> tuple[LayerPlan, ...]:
    """Order by descending rating and make one layer of all beyond the budget.

    The lowest two become one again and again, and what they became stays the
    lowest: so one layer takes what is worth least, and the others, which other
    images may share, keep their digests.
    """
    ordered = sorted(layers, key=_by_rating)
    if len(ordered) > budget:
        rest = ordered[budget - 1 :]
        merged = LayerPlan(
            tuple(sorted(path for layer in rest for path in layer.paths)),
            sum(layer.nar_size for layer in rest),
            sum(layer.rating for layer in rest),
        )
        ordered = sorted([*ordered[: budget - 1], merged], key=_by_rating)
    return tuple(ordered)


def _by_rating(layer: LayerPlan) -> tuple[int, str]:
    return -layer.rating, layer.paths[0]
