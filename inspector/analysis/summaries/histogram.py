"""Histograms whose buckets do not depend on the data, so that they add up exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Self

import numpy as np

from inspector.contract.model import Array
from inspector.contract.summary import Summary
from inspector.errors import SummaryError

_SHIFT: Final = 18
"""Bits of a float32 below its bucket: of the 23 of the mantissa 5 are kept, which is 32 buckets per octave."""
_HALF: Final = 1 << 13
"""Buckets of one sign; bucket 0 holds the zeros, -b mirrors b."""
_SPAN: Final = 2 * _HALF


@dataclass(frozen=True, eq=False)
class Histogram(Summary):
    """How one number per input is distributed, per channel: int64 counts in log-linear buckets.

    Buckets are the leading bits of a float32: every power of two is cut into 32 equal parts, the signs apart, zeros
    (-0.0 as well) in a bucket of their own. They depend on no data, so parts in any order add up to the whole bit for
    bit. Float64 values are rounded to float32 first; those beyond its range count in the last bucket. At most 16,321
    buckets a channel, and never more than values; only buckets with something in them are held.

    Attributes:
        cells: (K,) int64, ascending: channel and bucket in one number.
        counts: (K,) int64, values in each; above 0.
        odd: (C, 3) int64, values that are NaN, -Inf, +Inf.
    """

    cells: Array
    counts: Array
    odd: Array

    def __post_init__(self) -> None:
        """Refuses what cannot have been made here, as stored summaries are read back."""
        channels = len(self.odd) if self.odd.ndim == 2 else 0
        fit = self.cells.shape == self.counts.shape and self.cells.ndim == 1
        if not fit or (self.cells.size and not 0 <= self.cells[0] <= self.cells[-1] < channels * _SPAN):
            raise SummaryError(
                "histogram",
                "its parts do not fit each other",
                expected="a count for every cell, and cells of its channels",
                found=f"shapes {self.cells.shape}, {self.counts.shape}, {self.odd.shape}",
            )

    @classmethod
    def of(cls, values: Array, valid: Array) -> Self:
        """From one batch: `values` (N, C); those that are not `valid` (N, C) are left out."""
        finite, channels = np.isfinite(values), values.shape[1]
        odd = np.zeros((channels, 3), np.int64)
        if not finite.all():
            kinds = (np.isnan(values), values == -np.inf, values == np.inf)
            odd = np.stack([(kind & valid).sum(0, dtype=np.int64) for kind in kinds], axis=1)
        narrow = channels * _SPAN <= np.iinfo(np.int32).max  # they are sorted in half of the time
        zeros = np.arange(_HALF, channels * _SPAN, _SPAN).astype(np.int32 if narrow else np.int64)
        every = zeros + _buckets(values)
        counted = finite & valid
        ordered = np.sort(every if counted.all() else every[counted], axis=None)
        first = np.flatnonzero(np.diff(ordered, prepend=-1))
        counts = np.diff(first, append=ordered.size)
        return cls(ordered[first].astype(np.int64), counts.astype(np.int64), odd)

    def __add__(self, other: Self) -> Self:
        cells = np.concatenate([self.cells, other.cells])
        order = np.argsort(cells, kind="stable")  # two runs in order: it merges them
        cells, counts = cells[order], np.concatenate([self.counts, other.counts])[order]
        again = np.flatnonzero(cells[1:] == cells[:-1]) + 1
        counts[again - 1] += counts[again]
        kept = np.ones(len(cells), bool)
        kept[again] = False
        return type(self)(cells[kept], counts[kept], self.odd + other.odd)

    @property
    def count(self) -> Array:
        """(C,) int64, values that are not NaN."""
        return np.diff(self._before()) + self.odd[:, 1] + self.odd[:, 2]

    def quantiles(self, shares: Sequence[float]) -> Array:
        """(Q, C): the value of rank ceil(share * count), at least 1, in ascending order; NaN where there are none.

        The true one lies in the bucket whose middle is given: relative error at most 1/64, or 2^-132 where |value| is
        below 2^-126. Zeros are exact. NaN is left out, infinities count as what they are. Shares to six decimals.
        """
        return np.stack([self._quantile(Fraction(share).limit_denominator(10**6)) for share in shares])

    def _quantile(self, share: Fraction) -> Array:
        count, before = self.count, self._before()
        rank = np.maximum(1, -(-share.numerator * count // share.denominator)) - self.odd[:, 1]
        inside = (rank >= 1) & (rank <= np.diff(before))
        at = np.searchsorted(np.cumsum(self.counts), before[:-1] + rank, side="left")
        found = np.where(rank < 1, -np.inf, np.inf)
        found[inside] = _middle(self.cells[at[inside]] % _SPAN - _HALF)
        return np.where(count > 0, found, np.nan)

    def _before(self) -> Array:
        """(C + 1,) finite values in the channels before each."""
        edges = np.searchsorted(self.cells, np.arange(len(self.odd) + 1) * _SPAN)
        return np.concatenate([[0], np.cumsum(self.counts)])[edges]


def _buckets(values: Array) -> Array:
    """As int16 from -8160 to 8160, in the order of the values; anything for those that are not finite."""
    single = values
    if values.dtype != np.float32:
        most = np.finfo(np.float32).max
        single = np.clip(values, -most, most).astype(np.float32)
    size = (np.abs(single).view(np.uint32) >> _SHIFT).astype(np.int16) + (single != 0)
    signed: Array = np.where(single < 0, -size, size)
    return signed


def _middle(buckets: Array) -> Array:
    """The middle of each bucket, float64; 0 of that of the zeros."""
    bits = np.maximum(np.abs(buckets) - 1, 0).astype(np.uint32) << _SHIFT
    middle: Array = (bits + (1 << (_SHIFT - 1))).view(np.float32).astype(np.float64)
    return np.sign(buckets) * middle
