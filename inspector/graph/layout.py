"""Which axis of a value holds the channels, and how nodes that only move axes change that.

Frameworks that keep channels last write every convolution between two Transposes, and one over time as one over
pictures of one row: bias and activation stand behind a Transpose, a Squeeze, or a Reshape that does the same then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from inspector.contract import Array
from inspector.graph.constants import STANDARD, Constants

MOVING: Final = frozenset({"Transpose", "Squeeze", "Unsqueeze", "Reshape"})
"""Operators that move axes, or take or add some of size 1; a Reshape may do that and may do more."""
_MOST_AXES: Final = 16
_RANKS: Final = range(3, 6)


@dataclass(frozen=True, slots=True)
class Layout:
    """How the maps of a layer lie in a value: inputs on axis 0, channels on `axis` of `rank`, the others are space."""

    rank: int
    axis: int = 1

    @property
    def channels_first(self) -> tuple[int, ...]:
        """The permutation that makes (N, C, *space) of the value."""
        return (0, self.axis, *(k for k in range(1, self.rank) if k != self.axis))

    def against(self, array: Array) -> tuple[int, ...]:
        """Its shape as it meets the value in broadcasting, axis by axis; empty where it has more axes."""
        return () if array.ndim > self.rank else (1,) * (self.rank - array.ndim) + array.shape

    def is_per_channel(self, array: Array, channels: int) -> bool:
        """True where broadcasting makes it one number for each channel."""
        shape = self.against(array)
        return bool(shape) and all(
            size == 1 or (axis == self.axis and size == channels) for axis, size in enumerate(shape)
        )


def layout_after(node: ir.Node, layout: Layout, constants: Constants) -> Layout | None:
    """How the maps lie behind a node that only moves axes: inputs stay on axis 0, and space keeps its order.

    None for every other node, for maps of no or more than three axes (no runtime pools these), and where only a run
    tells which axes it moves.
    """
    if node.op_type not in MOVING or node.domain not in STANDARD:
        return None
    moved = _moved(node, layout.rank, constants)
    if moved is None or moved[:1] != [0] or layout.axis not in moved or len(moved) not in _RANKS:
        return None
    space = [k for k in moved if k not in (None, 0, layout.axis)]
    return Layout(len(moved), moved.index(layout.axis)) if sorted(space) == space else None


def _moved(node: ir.Node, rank: int, constants: Constants) -> list[int | None] | None:
    """By axis of what the node gives: which axis of what it reads that is, None for one that is added."""
    if node.op_type == "Transpose":
        perm = list(node.attributes["perm"].as_ints()) if "perm" in node.attributes else list(range(rank))[::-1]
        return [int(k) for k in perm] if sorted(perm) == list(range(rank)) else None
    if node.op_type == "Reshape":
        return _reshaped(node, constants)
    axes = _axes(node, constants)
    most = rank if node.op_type == "Squeeze" else rank + len(axes)
    if not axes or not all(-most <= axis < most for axis in axes) or len({axis % most for axis in axes}) < len(axes):
        return None
    named = {axis % most for axis in axes}
    if node.op_type == "Squeeze":
        return [k for k in range(rank) if k not in named]
    old = iter(range(rank))
    return [None if k in named else next(old) for k in range(most)]


def _reshaped(node: ir.Node, constants: Constants) -> list[int | None] | None:
    """As `_moved`, where all sizes but the number of inputs are known and only axes of size 1 come or go."""
    read, wanted = node.inputs[0], constants(node.inputs[1]) if len(node.inputs) > 1 else None
    shape = None if read is None or read.shape is None else list(read.shape)
    if not shape or wanted is None or wanted.ndim != 1 or not 0 < wanted.size <= _MOST_AXES:
        return None
    before, after = shape[1:], _sizes(shape, [int(n) for n in wanted])
    if after is None or [n for n in before if n != 1] != [n for n in after if n != 1]:
        return None
    kept = iter(k for k, size in enumerate(before, 1) if size != 1)
    return [0, *(None if size == 1 else next(kept) for size in after)]


def _sizes(shape: Sequence[int | ir.SymbolicDim], wanted: Sequence[int]) -> list[int] | None:
    """Of each axis behind the first, which still counts the inputs; None where that is not known."""
    before = [size for size in shape[1:] if isinstance(size, int)]
    if len(before) + 1 < len(shape) or wanted[0] not in (0, -1, shape[0]) or 0 in (*before, *wanted[1:]):
        return None
    after = list(wanted[1:])
    if after.count(-1) + (wanted[0] == -1) > 1:
        return None
    rest = math.prod(size for size in after if size != -1)
    return [math.prod(before) // rest if size == -1 else size for size in after]


def _axes(node: ir.Node, constants: Constants) -> Sequence[int]:
    """As an attribute, or from opset 13 on as an input; empty where they are not given or not constant."""
    if "axes" in node.attributes:
        return [int(axis) for axis in node.attributes["axes"].as_ints()]
    array = constants(node.inputs[1]) if len(node.inputs) > 1 else None
    return [] if array is None or array.size > _MOST_AXES else [int(axis) for axis in array.reshape(-1)]
