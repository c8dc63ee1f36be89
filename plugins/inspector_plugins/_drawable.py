"""Arrays as pictures can hold them: slices of volumes, and numbers of any size in a float32."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from inspector import Array

_SMALLEST: Final = 1e-30
"""A peak below this is too near to the least float32: what is far smaller would be drawn as 0."""
_LARGEST: Final = float(np.finfo(np.float32).max)
_LEAST_POWER: Final = -307
"""Smaller powers of ten are no ordinary float64 any more."""


def slices_of(values: Array) -> Array:
    """Values (*space) as pictures (S, H, W): their last two axes are a picture, one axis alone is a row."""
    flat = values if values.ndim > 1 else values[None]
    return flat.reshape(-1, *flat.shape[-2:])


def peak_of(values: Array) -> float:
    """Greatest finite |value|, 0 where there is none."""
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def power_of(peak: float) -> int:
    """Numbers up to `peak` are drawn as multiples of ten to this power; 0 where a float32 holds them as they are."""
    if peak == 0 or _SMALLEST <= peak <= _LARGEST:
        return 0
    return max(_LEAST_POWER, math.floor(math.log10(peak)))


def at_power(number: float, power: int) -> float:
    """The number as a multiple of ten to that power."""
    return number / 10.0**power if power else number


def multiples(values: Array, power: int) -> Array:
    """The values, as multiples of ten to that power, in float32; what is not finite stays so."""
    multiple: Array = (values / 10.0**power if power else values).astype(np.float32)
    return multiple


def unit_of(what: str, power: int) -> str:
    """The unit of such multiples: `weight`, or `x 1e60 (weight)`."""
    named = f" ({what})" if what else ""
    return f"x 1e{power}{named}" if power else what
