"""How a map is averaged without losing digits: a runtime adds up one number after the other in float32."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

MOST: Final = 64
"""Numbers that are averaged at once: more, and what is added is rounded away against what has been added up."""
_SIDES: Final = {1: 64, 2: 8, 3: 4}
"""Of windows by the number of their axes, so that each has `MOST` numbers."""


def windows(space: Sequence[int]) -> tuple[int, int]:
    """Windows that a map is averaged in: their side, and how many times their averages are averaged again.

    Zeros fill up those at its edges, `side - 1` at either end of an axis, and count as numbers: so the same windows do
    for maps of any size, and no library has to know more zeros at one end than at the other. None is of zeros alone.
    """
    side, levels, left = _SIDES.get(len(space), 1), 0, tuple(space)
    while math.prod(left) > MOST:
        left, levels = _counts(left, side), levels + 1
    return side, levels


def without_zeros(space: Sequence[int], side: int, levels: int) -> float:
    """What the average of the last averages is multiplied by to be that of a map of this size: see `windows`."""
    left = tuple(space)
    for _ in range(levels):
        left = _counts(left, side)
    return math.prod(left) * float(side ** (len(space) * levels)) / math.prod(space)


def _counts(space: Sequence[int], side: int) -> tuple[int, ...]:
    """How many windows there are along each axis."""
    return tuple((size + side - 2) // side + 1 for size in space)
