"""Mean and spread that add up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from inspector.contract.model import Array
from inspector.contract.summary import Summary


@dataclass(frozen=True, eq=False)
class Moments(Summary):
    """Mean and spread of one number per input and channel, in float64, without ever adding up squares.

    Merged by the pairwise formula of Chan, Golub and LeVeque 1983 (doi 10.1080/00031305.1983.10483115). Parts add up
    to the whole within 1e-12 of the largest |value|, and of its square for `m2`; of equal values `m2` is exactly 0.

    Attributes:
        count: (C,) int64, values that were seen.
        mean: (C,) float64, 0 where there are none.
        m2: (C,) float64, sum of the squared distances from the mean.
    """

    count: Array
    mean: Array
    m2: Array

    @classmethod
    def of(cls, values: Array, valid: Array) -> Self:
        """From one batch: `values` (N, C); those that are not `valid` (N, C) are left out."""
        count = valid.sum(0, dtype=np.int64)
        divisor, whole = np.maximum(count, 1), bool(valid.all())
        any_one = np.take_along_axis(values, valid.argmax(0)[None], 0)[0].astype(np.float64) if len(values) else 0.0
        origin = np.where(count > 0, any_one, 0.0)  # sums of distances from one value: exact where all are alike
        distance = (values if whole else np.where(valid, values, origin)) - origin
        shift = distance.sum(0) / divisor
        distance -= shift
        squares = np.square(distance, out=distance)
        return cls(count, origin + shift, (squares if whole else np.where(valid, squares, 0.0)).sum(0))

    def __add__(self, other: Self) -> Self:
        count = self.count + other.count
        share = other.count / np.maximum(count, 1)
        delta = other.mean - self.mean
        mean = np.where(self.count == 0, other.mean, self.mean + delta * share)
        between = np.where((self.count > 0) & (other.count > 0), delta * delta * self.count * share, 0.0)
        return type(self)(count, mean, self.m2 + other.m2 + between)

    @property
    def variance(self) -> Array:
        """(C,) mean squared distance from the mean (divided by the number of values); NaN where there are none."""
        return np.where(self.count > 0, self.m2 / np.maximum(self.count, 1), np.nan)
