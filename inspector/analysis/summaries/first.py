"""The values of the first inputs of a data set."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Self

import numpy as np

from inspector.contract.model import Array
from inspector.contract.summary import Same, Summary
from inspector.errors import SummaryError


@dataclass(frozen=True, eq=False)
class First(Summary):
    """The values of the first inputs of a data set, in its order, however it is split.

    Inputs may give values of different sizes, as a fully convolutional network does; `values` has them apart.

    Attributes:
        limit: () int64, how many are kept.
        positions: (K,) int64, ascending, K <= limit.
        ids: (K,) text, the inputs' names.
        shapes: (K, R) int64, the shape of each input's values.
        flat: (sum of their sizes,), the values, input after input.
    """

    limit: Same
    positions: Array
    ids: Array
    shapes: Array
    flat: Array

    def __post_init__(self) -> None:
        """Refuses what cannot have been made here, as stored summaries are read back."""
        one = (self.positions.ndim, self.ids.ndim, self.flat.ndim, self.shapes.ndim) == (1, 1, 1, 2)
        whole = one and self.shapes.dtype.kind == "i" and bool((self.shapes >= 0).all())
        alike = whole and len(self.positions) == len(self.ids) == len(self.shapes)
        if not (alike and self._ends[-1] == self.flat.size):
            raise SummaryError(
                "first inputs",
                "their parts do not fit each other",
                expected="a position, a name, a shape, and values of that shape for every input",
                found=f"shapes {self.positions.shape}, {self.ids.shape}, {self.shapes.shape}, {self.flat.shape}",
            )

    @classmethod
    def of(cls, limit: int, first: int, ids: tuple[str, ...], values: Array) -> Self:
        """From one batch: `values` is (N, ...), its first entry at position `first` of the data set.

        Positions need not count inputs (see `BatchInfo`), so any batch may hold some of the first ones.
        """
        keep = min(limit, len(ids))
        positions = np.arange(first, first + keep, dtype=np.int64)
        shapes = np.full((keep, values.ndim - 1), values.shape[1:], np.int64)
        names = np.array(ids[:keep], dtype=np.str_)
        return cls(np.array(limit, np.int64), positions, names, shapes, np.array(values[:keep]).ravel())

    @property
    def values(self) -> tuple[Array, ...]:
        """What each input gave, in its own shape."""
        parts = zip(pairwise(self._ends), self.shapes.tolist(), strict=True)
        return tuple(self.flat[start:end].reshape(shape) for (start, end), shape in parts)

    def __add__(self, other: Self) -> Self:
        self._check(other)
        if 0 < len(self.ids) == int(self.limit) and (self.positions[-1] < other.positions[:1]).all():
            return self  # full, and all of the other came later
        positions = np.concatenate([self.positions, other.positions])
        order = np.argsort(positions, kind="stable")[: int(self.limit)]
        values = [*self.values, *other.values]
        held = self if len(self.ids) else other  # of no inputs neither rank nor type are known
        return type(self)(
            self.limit,
            positions[order],
            np.array(np.concatenate([self.ids, other.ids])[order].tolist(), np.str_),  # as wide as what is kept
            np.concatenate([s.shapes for s in (self, other) if len(s.ids)] or [held.shapes])[order],
            np.concatenate([values[i].ravel() for i in order.tolist()] or [held.flat]),
        )

    @property
    def _ends(self) -> list[int]:
        """Where each input's values begin in `flat`, and where the last ones end."""
        sizes = map(math.prod, self.shapes.tolist())  # whole numbers of any size: shapes may come from a file
        return [*accumulate(sizes, initial=0)]

    def _check(self, other: Self) -> None:
        if int(self.limit) != int(other.limit):
            raise SummaryError(
                "first inputs",
                "they keep different numbers of inputs",
                expected=str(self.limit),
                found=str(other.limit),
            )
        if len(self.ids) and len(other.ids) and self.shapes.shape[1] != other.shapes.shape[1]:
            raise SummaryError(
                "first inputs",
                "their values have different numbers of axes",
                expected=str(self.shapes.shape[1]),
                found=str(other.shapes.shape[1]),
            )
