"""Why a store path is in an image, and what brings how much along.

The law of both: a reference brings in all that it leads to. The shortest chain from
a requested package says why a path is there at all; what a path *alone* brings (all
that every way to it passes, by dominators) says what would go with it.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from nixeryd.images.closures import Closure
from nixeryd.images.graphs import UNREACHABLE, closure_weights, immediate_dominators

_ROOT = 0


@dataclass(frozen=True, slots=True)
class Branch:
    """A path of the dominator tree. Sizes are NAR bytes.

    `alone` is what it brings that nothing else does, `whole` all that it leads to,
    `own` what it is itself; `paths` counts those it brings alone. `depth` 0 is
    what was asked for, or what several such share.
    """

    path: str
    depth: int
    own: int
    alone: int
    whole: int
    paths: int


def shortest_chain(
    closure: Closure, roots: Sequence[str], target: str
) -> tuple[str, ...]:
    """Return the shortest way from a root to `target`, both included; () if none."""
    before: dict[str, str | None] = dict.fromkeys(sorted(roots))
    due = deque(before)
    while due:
        path = due.popleft()
        if path == target:
            return _way(before, path)
        info = closure.get(path)
        for reference in info.references if info else ():
            if reference not in before:
                before[reference] = path
                due.append(reference)
    return ()


def _way(before: dict[str, str | None], path: str) -> tuple[str, ...]:
    way: list[str] = []
    step: str | None = path
    while step is not None:
        way.append(step)
        step = before[step]
    return tuple(reversed(way))


def biggest_branches(
    closure: Closure,
    roots: Sequence[str],
    *,
    most: int = 40,
    least: float = 0.01,
    deepest: int = 4,
) -> tuple[Branch, ...]:
    """Return the branches that matter, each before its own, the biggest first.

    Left out is what brings less than `least` of the whole, or is `deepest` down;
    of what remains the `most` largest are given.
    """
    paths = sorted(closure)
    number = {path: index for index, path in enumerate(paths, start=1)}
    successors: list[list[int]] = [[]]
    successors += [
        [number[ref] for ref in closure[path].references if ref in number]
        for path in paths
    ]
    successors[_ROOT] = sorted(number[root] for root in roots if root in number)
    sizes = [0, *(closure[path].nar_size for path in paths)]
    whole = closure_weights(successors, sizes)
    children: list[list[int]] = [[] for _ in sizes]
    dominators = immediate_dominators(successors, _ROOT)
    for node, dominator in enumerate(dominators):
        if node != _ROOT and dominator != UNREACHABLE:
            children[dominator].append(node)

    order = _downwards(children)
    alone, count = list(sizes), [1] * len(sizes)
    for node in reversed(order[1:]):
        alone[dominators[node]] += alone[node]
        count[dominators[node]] += count[node]

    floor = alone[_ROOT] * least
    kept = sorted(alone[node] for node in order[1:] if alone[node] >= floor)[-most:]
    floor = max(floor, kept[0]) if kept else floor
    found: list[Branch] = []
    due = [(node, 0) for node in sorted(children[_ROOT], key=lambda n: alone[n])]
    while due:
        node, depth = due.pop()
        if alone[node] < floor or depth >= deepest:
            continue
        path = paths[node - 1]
        found.append(
            Branch(path, depth, sizes[node], alone[node], whole[node], count[node])
        )
        due += [
            (one, depth + 1) for one in sorted(children[node], key=lambda n: alone[n])
        ]
    return tuple(found[:most])


def _downwards(children: Sequence[Sequence[int]]) -> list[int]:
    """List all nodes of a tree, each before its children."""
    order = [_ROOT]
    for node in order:
        order += children[node]
    return order
