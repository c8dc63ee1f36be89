"""How a map is averaged without losing digits: a runtime adds up one number after the other in float32."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Final

MOST: Final = 64
"""Numbers that are averaged at once: more, and what is added is rounded away against what has been added up."""


def pieces(space: Sequence[int]) -> list[tuple[int, ...]]:
    """Windows that divide a map, then what their averages make, and so on, until at most `MOST` numbers are left.

    Averages of windows of one size weigh the same, so their average is that of the map. An axis that no number divides
    is taken whole, however long.
    """
    found: list[tuple[int, ...]] = []
    left = tuple(space)
    while math.prod(left) > MOST:
        window = _window(left)
        found.append(window)
        left = tuple(size // part for size, part in zip(left, window, strict=True))
    return found


def _window(space: Sequence[int]) -> tuple[int, ...]:
    """The largest of at most `MOST` numbers, the longest along the last axis among equals; else the shortest whole."""
    divisors = [[d for d in range(1, min(size, MOST) + 1) if size % d == 0] for size in space]
    fitting = [w for w in itertools.product(*divisors) if 1 < math.prod(w) <= MOST]
    if fitting:
        return max(fitting, key=lambda window: (math.prod(window), window[::-1]))
    shortest = min(range(len(space)), key=lambda axis: (space[axis] == 1, space[axis]))
    return tuple(size if axis == shortest else 1 for axis, size in enumerate(space))
