"""How numbers are said in the tables, captions and messages of these plugins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inspector import Array, Cell


def counted(number: int, noun: str) -> str:
    """`1 filter`, `1,200 filters`."""
    return f"{number:,} {noun}" + "s" * (number != 1)


def listed(channels: Sequence[int], most: int = 8) -> str:
    """`3, 7, 9`, cut after `most` of them: `0, 1, … (40 in all)`."""
    text = ", ".join(map(str, channels[:most]))
    return text + f", … ({len(channels):,} in all)" * (len(channels) > most)


def channels_of(mask: Array) -> tuple[int, ...]:
    """Positions where a vector (n,) is True, ascending, as plain ints."""
    return tuple(int(i) for i in np.flatnonzero(mask))


def spread(values: Array) -> tuple[Cell, Cell, Cell]:
    """Least, median and greatest of a vector (n,), whole numbers staying whole; three dashes for an empty one."""
    if not values.size:
        return None, None, None
    return values.min().item(), float(np.median(values)), values.max().item()
