"""A treemap: a rectangle cut into areas in proportion to sizes, as square as may be.

M. Bruls, K. Huizing, J. van Wijk, "Squarified Treemaps" (2000): fill rows along the
shorter side, and begin a new one when the next area would make the row worse.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Area:
    """Where something is, from the upper left corner."""

    x: float
    y: float
    width: float
    height: float


def lay_out(sizes: Sequence[float], width: float, height: float) -> list[Area]:
    """Return each size its area; what is not above 0 gets an empty one.

    The areas do not overlap and fill the rectangle. Best for sizes in falling order.
    """
    areas = [Area(0, 0, 0, 0)] * len(sizes)
    due = [index for index, size in enumerate(sizes) if size > 0]
    if not due:
        return areas
    scale = width * height / sum(sizes[index] for index in due)
    x, y = 0.0, 0.0
    while due:
        side = min(width, height)
        row = [due[0]]
        total = sizes[due[0]] * scale
        for index in due[1:]:
            area = sizes[index] * scale
            if _worst(row, sizes, scale, total, side) < _worst(
                [*row, index], sizes, scale, total + area, side
            ):
                break
            row.append(index)
            total += area
        due = due[len(row) :]
        depth = total / side
        at = 0.0
        for index in row:
            length = sizes[index] * scale / depth
            if width >= height:
                areas[index] = Area(x, y + at, depth, length)
            else:
                areas[index] = Area(x + at, y, length, depth)
            at += length
        if width >= height:
            x, width = x + depth, width - depth
        else:
            y, height = y + depth, height - depth
    return areas


def _worst(
    row: Sequence[int], sizes: Sequence[float], scale: float, total: float, side: float
) -> float:
    """Return the worst ratio of sides in a row of areas."""
    depth = total / side
    lengths = [sizes[index] * scale / depth for index in (row[0], row[-1])]
    return max(max(depth / length, length / depth) for length in lengths)
