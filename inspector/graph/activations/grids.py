"""Where functions of one number are looked at: points near and far, and more of them where a function may bend.

What a threshold does shows itself only beside it. So where a value that a node computes with passes what the node
compares it with, or zero, the grid gets points at, closely around and less closely around that place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Final

import numpy as np
import onnx_ir as ir

from inspector.contract import Array

_DENSE: Final = np.linspace(-12, 12, 193)
_FAR: Final = np.array([16.0, 24, 48, 1e3, 1e4, 2e4, 1e5, 1e6, 1e8, 1e12, 1e20, 1e30, 1e38])
_COARSE: Final[Array] = np.concatenate([-_FAR[::-1], _DENSE, _FAR])
"""Every eighth, and far out, where bounds show themselves."""
_TINY: Final = np.concatenate([10.0 ** np.arange(-38, -9, 4), *(m * 10.0 ** np.arange(-9, -1) for m in (1, 3))])
"""Around zero at all magnitudes of float32."""
_BESIDE: Final = np.array([0.0, 1e-5, -1e-5, 1e-3, -1e-3, 1e-2, -1e-2])
_KNOWN: Final = 1e-6
"""A place is known well enough when points lie to both sides of it, this near, relative to it."""
_SMALLEST: Final = 1e-38
"""Places nearer to zero than this are taken for zero."""
_MOST_PLACES: Final = 128
"""A function that bends at more is no activation that has a name."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Points, ascending, and the places beside which they were added."""

    x: Array
    places: Array = field(default_factory=lambda: np.empty(0))

    @cached_property
    def near(self) -> Array:
        """Where a function has to be finite: further out, exponentials overflow that no input reaches."""
        return np.abs(self.x) <= 48

    @cached_property
    def middle(self) -> Array:
        """Where zeros are looked at: further out, `1 + tanh` rounds to 0."""
        return np.abs(self.x) <= 4

    def apart(self, distance: float) -> Array:
        """True for points with no place as near as that, relative to it: there a threshold may round to either side."""
        gaps = np.abs(self.x[:, None] - self.places)
        clear: Array = (gaps > distance * np.abs(self.places)).all(1)
        return clear

    @cached_property
    def coarse(self) -> Array:
        """Points so far from each other that slopes between them have no noise."""
        return np.isin(self.x, _COARSE)


BASE: Final = Grid(np.unique(np.concatenate([_COARSE, _TINY, -_TINY])))
"""Where every function is looked at."""


def refined(grid: Grid, differences: Sequence[Array]) -> Grid | None:
    """The grid with points where any of the differences passes zero; None where there are too many such places."""
    with np.errstate(over="ignore"):
        brackets = [pair for d in differences for pair in _crossings(grid.x, d)]
    places = np.unique(np.array([root for root, _ in brackets]))
    if len(places) > _MOST_PLACES:
        return None
    if not brackets:
        return grid
    single = places.astype(np.float32)
    beside = [np.nextafter(single, np.float32(end)).astype(np.float64) for end in (-np.inf, np.inf)]
    around = np.outer(single.astype(np.float64), 1 + _BESIDE).ravel()
    x = np.unique(np.concatenate([grid.x, around, *beside, [middle for _, middle in brackets]]))
    return Grid(x, np.unique(np.concatenate([grid.places, places])))


def _crossings(x: Array, d: Array) -> Iterator[tuple[float, float]]:
    """Where d passes zero and that is not known well yet: by a straight line, and the middle of what is known."""
    sign = np.sign(np.where(np.isfinite(d), d, np.nan))
    for i in np.flatnonzero(sign[:-1] * sign[1:] < 0):
        share = d[i] / (d[i] - d[i + 1]) if np.isfinite(d[i] - d[i + 1]) else 0.5
        yield from _unknown(x[i], x[i] + share * (x[i + 1] - x[i]), x[i + 1])
    for i in 1 + np.flatnonzero((sign[1:-1] == 0) & (np.abs(sign[:-2]) == 1) & (np.abs(sign[2:]) == 1)):
        yield from _unknown(x[i - 1], x[i], x[i + 1])


def _unknown(low: float, root: float, high: float) -> Iterator[tuple[float, float]]:
    if abs(root) >= _SMALLEST and high - low > _KNOWN * abs(root):
        yield root, (low + high) / 2


def deciding(node: ir.Node, operands: Sequence[Array | float | None]) -> Iterator[Array]:
    """Differences whose sign decides what a node gives, or around whose zero it may bend, each on the grid."""
    real = [o for o in operands if isinstance(o, float) or (isinstance(o, np.ndarray) and o.dtype.kind == "f")]
    read = [o for o in real if not isinstance(o, float)]
    yield from read
    if node.op_type in _COMPARING:
        yield from (
            np.subtract(a, b) for a, b in combinations(real, 2) if not isinstance(a, float) or not isinstance(b, float)
        )
    elif read and node.op_type in _CUTTING:
        yield from (np.subtract(read[0], limit) for limit in operands[1:] if limit is not None)
        yield from _CUTTING[node.op_type](node, read[0])


_COMPARING: Final = frozenset({"Max", "Min", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal"})


def _clip(node: ir.Node, x: Array) -> list[Array]:
    return [x - _float(node, name, 0.0) for name in ("min", "max") if name in node.attributes]


def _hard_sigmoid(node: ir.Node, x: Array) -> list[Array]:
    line = _float(node, "alpha", 0.2) * x + _float(node, "beta", 0.5)
    return [line, line - 1]


_CUTTING: Final[Mapping[str, Callable[[ir.Node, Array], list[Array]]]] = {
    "Clip": _clip,
    "HardSigmoid": _hard_sigmoid,
    "ThresholdedRelu": lambda node, x: [x - _float(node, "alpha", 1.0)],
}


def _float(node: ir.Node, name: str, default: float) -> float:
    return float(node.attributes[name].as_float()) if name in node.attributes else default
