"""The values of the first inputs of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from inspector.contract.model import Array
from inspector.contract.summary import Same, Summary
from inspector.errors import SummaryError


@dataclass(frozen=True, eq=False)
class First(Summary):
    """The values of the first inputs of a data set, in its order, however it is split.

    Attributes:
        limit: () int64, how many are kept.
        positions: (K,) int64, ascending, K <= limit.
        ids: (K,) text, the inputs' names.
        values: (K, ...), one entry per input, all of one shape.
    """

    limit: Same
    positions: Array
    ids: Array
    values: Array

    @classmethod
    def of(cls, limit: int, first: int, ids: tuple[str, ...], values: Array) -> Self:
        """From one batch: `values` is (N, ...), its first entry at position `first` of the data set.

        Positions need not count inputs (see `BatchInfo`), so any batch may hold some of the first ones.
        """
        keep = min(limit, len(ids))
        positions = np.arange(first, first + keep, dtype=np.int64)
        return cls(np.array(limit, np.int64), positions, np.array(ids[:keep], dtype=np.str_), np.array(values[:keep]))

    def __add__(self, other: Self) -> Self:
        if int(self.limit) != int(other.limit):
            raise SummaryError(
                "first inputs",
                "they keep different numbers of inputs",
                expected=str(self.limit),
                found=str(other.limit),
            )
        if len(self.ids) and len(other.ids) and self.values.shape[1:] != other.values.shape[1:]:
            raise SummaryError(
                "first inputs",
                "their values have different shapes",
                expected=str(self.values.shape[1:]),
                found=str(other.values.shape[1:]),
                remedy="Bring all inputs to one size.",
            )
        positions = np.concatenate([self.positions, other.positions])
        order = np.argsort(positions, kind="stable")[: int(self.limit)]
        return type(self)(
            self.limit,
            positions[order],
            np.array(np.concatenate([self.ids, other.ids])[order].tolist(), np.str_),  # as wide as what is kept
            _joined(self.values, other.values)[order],
        )


def _joined(a: Array, b: Array) -> Array:
    return np.concatenate([a, b]) if len(a) and len(b) else (a if len(a) else b)
