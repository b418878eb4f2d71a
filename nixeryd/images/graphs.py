"""Directed graphs: immediate dominators, and the weight of all a node leads to.

Nodes are the indices of `successors`; cycles are allowed. Iterative throughout,
as a closure may be thousands of paths deep, and fit for as many: half a second
at 5,000. Knows nothing of store paths.
"""

from collections.abc import Iterable, Iterator, Sequence
from operator import getitem
from typing import Final

UNREACHABLE: Final = -1

Successors = Sequence[Sequence[int]]


def immediate_dominators(successors: Successors, root: int) -> list[int]:
    """Return each node's immediate dominator: the last that every way to it passes.

    The root's is the root itself; a node that cannot be reached has UNREACHABLE.

    K. Cooper, T. Harvey, K. Kennedy, "A Simple, Fast Dominance Algorithm" (2001):
    number the nodes in postorder, then let the predecessors' dominators meet
    until nothing changes.
    """
    postorder = _postorder(successors, [root])
    number = [UNREACHABLE] * len(successors)
    predecessors: list[list[int]] = [[] for _ in successors]
    for position, node in enumerate(postorder):
        number[node] = position
        for successor in successors[node]:
            predecessors[successor].append(node)

    dominators = [UNREACHABLE] * len(successors)
    dominators[root] = root
    order = postorder[-2::-1]  # reverse postorder, without the root
    changed = True
    while changed:
        changed = False
        for node in order:
            met = UNREACHABLE
            for one in predecessors[node]:
                if dominators[one] == UNREACHABLE:
                    continue  # not yet known in this first round
                other = one
                # Climb from both until they meet: the lower number is further
                # down. With nothing met yet, there is nothing to climb from.
                while met not in {UNREACHABLE, other}:
                    if number[other] < number[met]:
                        other = dominators[other]
                    else:
                        met = dominators[met]
                met = other
            if dominators[node] != met:
                dominators[node] = met
                changed = True
    return dominators


def closure_weights(successors: Successors, weights: Sequence[int]) -> list[int]:
    """Sum for each node the weights of it and of all it leads to, each once."""
    # What a node leads to is a set of bits. In postorder one round finds it, and
    # cycles are what takes more.
    order = _postorder(successors, range(len(successors)))
    reach = [1 << node for node in range(len(successors))]
    changed = True
    while changed:
        changed = False
        for node in order:
            bits = reach[node]
            for successor in successors[node]:
                bits |= reach[successor]
            if bits != reach[node]:
                reach[node] = bits
                changed = True

    # The bits are summed by bytes: a table for each byte of the set.
    tables = []
    for start in range(0, len(weights), 8):
        table = [0]
        for weight in weights[start : start + 8]:
            table += [known + weight for known in table]
        tables.append(table)
    return [
        sum(map(getitem, tables, bits.to_bytes(len(tables), "little")))
        for bits in reach
    ]


def _postorder(successors: Successors, roots: Iterable[int]) -> list[int]:
    """List what the roots lead to, each node after its successors."""
    order: list[int] = []
    seen: set[int] = set()
    for root in roots:
        if root in seen:
            continue
        seen.add(root)
        stack: list[tuple[int, Iterator[int]]] = [(root, iter(successors[root]))]
        while stack:
            node, rest = stack[-1]
            for successor in rest:
                if successor not in seen:
                    seen.add(successor)
                    stack.append((successor, iter(successors[successor])))
                    break
            else:
                stack.pop()
                order.append(node)
    return order
