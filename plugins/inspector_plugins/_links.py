"""Which input channel of a convolution reaches which output channel, read off its weights.

An output channel o can only read input channel i where floor(i / (C/g)) == floor(o / (M/g)), with g groups. Such a
pair is a possible link; its numbers are the kernel slice W[o, i mod C/g]. A link whose slice is zero carries nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from inspector import Array, Filters, Layer
from inspector_plugins._norms import root_of_squares, sum_of_sizes
from inspector_plugins._wording import channels_of

Norm = Literal["l1", "l2", "max"]

STRENGTHS: Mapping[Norm, Callable[[Array], Array]] = {
    "l1": sum_of_sizes,
    "l2": root_of_squares,
    "max": lambda slices: np.abs(slices).max(axis=2),
}
"""From kernel slices (M, C/g, taps) to one strength per link (M, C/g)."""

SLACK = 1e-12
"""Relative slack in `carriers`, so that rounding in a running sum does not cost one input more."""


@dataclass(frozen=True, slots=True, eq=False)
class LayerLinks:
    """The links of one layer. Only possible links are stored: a depthwise layer needs M numbers, not M x C.

    Attributes:
        layer: the layer.
        strength: (M, C/g) float64 >= 0; 0 where the slice counts as zero, NaN or Inf where a weight is.
        reads: (M, C/g) bool, True where the slice does not count as zero.
        carriers: (M,) int64, the least number of inputs that hold the asked share of a filter's strength;
            0 where the filter reads nothing or holds NaN or Inf.
        folded: names of the nodes folded into the weights.
    """

    layer: Layer
    strength: Array
    reads: Array
    carriers: Array
    folded: tuple[str, ...] = ()

    @property
    def links(self) -> Array:
        """(M, C) bool, over all channels: True where o really reads i. Grows with M x C."""
        full = np.zeros((len(self.reads), self.layer.in_channels), dtype=bool)
        np.put_along_axis(full, self.inputs, self.reads, axis=1)
        return full

    @property
    def matrix(self) -> Array:
        """(M, C) float64 strengths over all channels, NaN where groups rule a link out. Grows with M x C."""
        full = np.full((len(self.reads), self.layer.in_channels), np.nan)
        np.put_along_axis(full, self.inputs, self.strength, axis=1)
        return full

    @property
    def inputs(self) -> Array:
        """(M, C/g) int64, the input channel that each stored link comes from."""
        outputs, width = self.reads.shape
        group: Array = np.arange(outputs) // (outputs // self.layer.groups)
        first: Array = group[:, None] * width
        return first + np.arange(width)

    @property
    def possible(self) -> int:
        """Links that the groups allow: M * C/g."""
        return int(self.reads.size)

    @property
    def used(self) -> int:
        """Possible links whose slice is not zero."""
        return int(self.reads.sum())

    @property
    def density(self) -> float:
        """Used over possible links, in [0, 1]."""
        return self.used / self.possible

    @property
    def unread(self) -> tuple[int, ...]:
        """Input channels that no filter reads, ascending."""
        by_group = self.reads.reshape(self.layer.groups, -1, self.reads.shape[1])
        return channels_of(np.logical_not(by_group.any(axis=1)).ravel())

    @property
    def idle(self) -> tuple[int, ...]:
        """Filters that read nothing, ascending."""
        return channels_of(np.logical_not(self.reads.any(axis=1)))

    @property
    def broken(self) -> tuple[int, ...]:
        """Filters that hold NaN or Inf, ascending."""
        return channels_of(np.logical_not(np.isfinite(self.strength).all(axis=1)))


def links_of(layer: Layer, filters: Filters, *, norm: Norm = "l1", share: float = 0.9, eps: float = 0.0) -> LayerLinks:
    """The links of a layer with these filters, in float64.

    A slice whose largest |weight| is <= `eps` counts as zero; NaN never does. `share` is in (0, 1].
    """
    weight = np.asarray(filters.weight, dtype=np.float64)
    slices = weight.reshape(*weight.shape[:2], -1)
    reads = ~(STRENGTHS["max"](slices) <= eps)
    strength = np.where(reads, STRENGTHS[norm](slices), 0.0)
    return LayerLinks(layer, strength, reads, carriers(strength, share), filters.folded)


def carriers(strength: Array, share: float) -> Array:
    """Per row of (M, n) strengths >= 0: the least k such that the k greatest sum to `share` of the row's sum.

    (M,) int64. The sum may fall short by `SLACK` of itself. Rows that sum to 0, or not to a number, give 0.
    """
    running = np.cumsum(-np.sort(-strength, axis=1), axis=1)
    total = running[:, -1:]
    short = running < share * total * (1 - SLACK)
    return np.where(np.isfinite(total[:, 0]) & (total[:, 0] > 0), short.sum(axis=1) + 1, 0).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Overview:
    """A strength matrix small enough to look at: mean strength of the possible links of every cell.

    Attributes:
        values: (rows, columns) float64; NaN where the groups allow no link, Inf where a weight is NaN or Inf.
        step: output and input channels per cell; (1, 1) is the matrix itself.
    """

    values: Array
    step: tuple[int, int]


def overview(links: LayerLinks, side: int) -> Overview:
    """The matrix of a layer in at most `side` x `side` cells, whatever M x C is."""
    outputs, inputs = len(links.reads), links.layer.in_channels
    step = -(-outputs // side), -(-inputs // side)
    rows, columns = -(-outputs // step[0]), -(-inputs // step[1])
    cell = ((np.arange(outputs) // step[0])[:, None] * columns + links.inputs // step[1]).ravel()
    total = np.bincount(cell, weights=links.strength.ravel(), minlength=rows * columns)
    count = np.bincount(cell, minlength=rows * columns)
    mean = np.divide(total, count, out=np.full(rows * columns, np.nan), where=count > 0)
    mean[(count > 0) & ~np.isfinite(total)] = np.inf
    return Overview(mean.reshape(rows, columns), step)
