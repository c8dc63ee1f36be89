"""What can be said of a layer's filters without looking at them: size, zeros, copies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from inspector import Array, Filters
from inspector_plugins._norms import root_of_squares, sum_of_sizes
from inspector_plugins._wording import channels_of


@dataclass(frozen=True, slots=True, eq=False)
class FilterFacts:
    """Facts about the M filters of one layer.

    Attributes:
        l1: (M,) float64, sum of |weight| of each filter; NaN or Inf where a weight is.
        l2: (M,) float64, root of the sum of weight² of each filter; NaN or Inf where a weight is.
        zero: filters whose weights are all exactly 0, ascending.
        broken: filters with NaN or Inf among weights and bias, ascending.
        copies: sets of equal filters, each ascending, in order of their first; see `copies_of`.
    """

    l1: Array
    l2: Array
    zero: tuple[int, ...]
    broken: tuple[int, ...]
    copies: tuple[tuple[int, ...], ...]

    @property
    def repeated(self) -> tuple[int, ...]:
        """Filters that are equal to one before them, ascending."""
        return tuple(sorted(o for copies in self.copies for o in copies[1:]))


def facts_of(filters: Filters, groups: int) -> FilterFacts:
    """The facts about a layer's filters, in float64. `groups` is the layer's."""
    weight = np.asarray(filters.weight, dtype=np.float64).reshape(len(filters.weight), -1)
    bias = np.asarray(filters.bias, dtype=np.float64)
    zero: Array = np.logical_not(weight.any(axis=1))
    broken: Array = np.logical_not(np.isfinite(weight).all(axis=1) & np.isfinite(bias))
    l1, l2 = sum_of_sizes(weight), root_of_squares(weight)
    candidates = channels_of(~zero & ~broken)
    return FilterFacts(l1, l2, channels_of(zero), channels_of(broken), copies_of(weight, bias, groups, candidates))


def copies_of(weight: Array, bias: Array, groups: int, candidates: Iterable[int]) -> tuple[tuple[int, ...], ...]:
    """Sets of candidates (ascending) that compute the same: equal weights (M, n) and bias (M,), and the same group.

    Filters of different groups read different maps, so equal numbers do not make them copies. -0 equals 0.
    """
    same: dict[tuple[int, float, bytes], list[int]] = {}
    for o in candidates:
        key = o // (len(weight) // groups), float(bias[o]), (weight[o] + 0.0).tobytes()
        same.setdefault(key, []).append(o)
    return tuple(tuple(found) for found in same.values() if len(found) > 1)
