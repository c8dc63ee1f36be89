"""Norms of weights of any size."""

from __future__ import annotations

import numpy as np

from inspector import Array


def root_of_squares(values: Array) -> Array:
    """Root of the sum of squares over the last axis, float64; NaN or Inf where one of the values is.

    Values are first brought near to 1 by a power of two, which rounds nothing: the square of 1e-200 would be 0.
    """
    _, exponent = np.frexp(np.max(np.abs(values), axis=-1, keepdims=True, initial=0.0))
    near = np.ldexp(values, -exponent)
    with np.errstate(over="ignore"):  # a root beyond float64 is Inf
        root: Array = np.ldexp(np.sqrt(np.square(near, out=near).sum(axis=-1)), exponent[..., 0])
    return root


def sum_of_sizes(values: Array) -> Array:
    """Sum of |value| over the last axis, float64; Inf where that is beyond float64."""
    with np.errstate(over="ignore"):
        total: Array = np.abs(values).sum(axis=-1)
    return total
