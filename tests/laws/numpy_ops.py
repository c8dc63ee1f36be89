"""The measures that can be written into a graph once more, in NumPy, from what their words mean."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from inspector import Array, Value

_RULES: dict[str, Callable[[Array, float, tuple[int, ...]], Array]] = {
    "tapped": lambda x, _, __: x.astype(np.float64 if x.dtype == np.float64 else np.float32),
    "keep": lambda x, _, __: x,
    "abs": lambda x, _, __: np.abs(x),
    "greater": lambda x, number, _: x > x.dtype.type(number),
    "less": lambda x, number, _: x < x.dtype.type(number),
    "count": lambda x, _, space: x.sum(space, dtype=np.int64),
    "max": lambda x, _, space: x.max(space),
    "min": lambda x, _, space: x.min(space),
    "mean": lambda x, _, space: x.mean(space, dtype=np.float64).astype(x.dtype),
    "positions": lambda x, _, __: np.full((len(x), 1), math.prod(x.shape[2:]), np.int64),
}


def evaluate(measure: Value, maps: Array) -> Array:
    """What `measure` gives for maps (N, C, *space): computed in float32, of float64 maps in float64; `keep`: as is."""
    inner = measure.inputs if measure.op != "keep" else ()
    x = evaluate(inner[0], maps) if inner else maps
    return _RULES[measure.op](x, measure.number or 0.0, tuple(range(2, maps.ndim)))
