"""Rows of what a run gives for a measure: what is left to do once maps are pooled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from inspector.contract import Array
from inspector.graph.rewriting.averaging import without_zeros


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A measure as it is written into a graph; `finish` makes rows of what a run gives for it.

    Attributes:
        value: its name in the message.
        dtype: element type that the rows will have.
        rest: what is left to do. `pooled` rows are (N, C, 1, ...); `share`: they are to be multiplied by the positions
            of a map; `padded`: zeros were averaged as well; `mirrored`: they are minus the smallest; `one`: each is to
            be the positions of a map; `done`: nothing, (N, C) or whole maps.
        rank: axes of the value.
        channels: C, where it is known: several of these can leave the graph as one.
        space: sizes of one map, as far as the row needs them.
        windows: for `padded`: see `inspector.graph.rewriting.averaging`.
    """

    value: str
    dtype: ir.DataType
    rest: Literal["pooled", "share", "padded", "mirrored", "one", "done"]
    rank: int
    channels: int | None
    space: tuple[int, ...] | None = None
    windows: tuple[int, int] = (1, 0)

    @property
    def written(self) -> ir.DataType:
        """Element type of the value."""
        return self.dtype if self.rest in ("done", "one") else ir.DataType.FLOAT


def finish(row: Row, array: Array, space: tuple[int, ...] | None = None) -> Array:
    """What is left to do once maps are pooled: the same few operations for any number of layers, in one place.

    Args:
        row: how the measure was written.
        array: its value, or its columns (N, C) of a value that several share.
        space: sizes of one map, where a run has others than those that the row was written for.
    """
    sizes = space or row.space or ()
    if row.rest == "one":
        return array * math.prod(sizes)
    if row.rest == "done":
        return np.ascontiguousarray(array)
    pooled = np.ascontiguousarray(array.reshape(array.shape[:2]))
    if row.rest == "mirrored":
        return 0.0 - pooled  # and not -pooled, which would show a zero as -0
    if row.rest == "share":
        with np.errstate(invalid="ignore"):  # of maps that hold a NaN
            area = np.float32(math.prod(sizes))
            rounded: Array = np.floor(pooled * area + np.float32(0.5)).astype(np.int64)
            return rounded
    if row.rest == "padded":
        with np.errstate(over="ignore"):  # of maps near the largest number
            return (pooled.astype(np.float64) * without_zeros(sizes, *row.windows)).astype(np.float32)
    return pooled
