"""Which nodes compute elementwise from one value and numbers: the region in which an activation may be written."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import ml_dtypes
import onnx_ir as ir

from inspector.contract import Array
from inspector.graph.constants import STANDARD, Constants
from inspector.graph.layout import MOVING, Layout, layout_after
from inspector.graph.quantized import rounding

_ELEMENTWISE: Final = frozenset(
    {
        "Abs",
        "Add",
        "And",
        "Cast",
        "Clip",
        "Div",
        "Elu",
        "Equal",
        "Erf",
        "Exp",
        "Greater",
        "GreaterOrEqual",
        "HardSigmoid",
        "Identity",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "Max",
        "Min",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "Pow",
        "Reciprocal",
        "Relu",
        "Sigmoid",
        "Sign",
        "Softplus",
        "Sqrt",
        "Sub",
        "Sum",
        "Tanh",
        "ThresholdedRelu",
        "Where",
    }
)
ROUNDING: Final = frozenset({"QuantizeLinear", "DequantizeLinear"})
"""Within an activation they leave numbers what they are: quantisers round what each of its nodes gives."""
HANDING_ON: Final = MOVING | ROUNDING
"""Operators that hand on the numbers that they read, and are no end of an activation."""
_METADATA: Final = frozenset({"Shape", "Size"})
"""They read how large a value is, and nothing of what it holds."""
_MAX_NODES: Final = 24
"""Nodes a decomposed activation can have; the longest known, Mish with a guarded Softplus, has 12."""
_MAX_READERS: Final = 32
"""Nodes that read one value of it; GELU by tanh has four."""
_MAX_OPERANDS: Final = 16
"""Operands of one node; more are only met where a Max or Sum joins what is no activation."""
_MAX_NUMBERS: Final = 1 << 16
"""Elements of a constant that may be one number all over."""


def consumers(value: ir.Value) -> list[ir.Node]:
    """The nodes that read what the value holds, each once."""
    readers = [use.node for use in value.uses() if use.node.op_type not in _METADATA]
    return readers if len(readers) < 2 else list(dict.fromkeys(readers))


@dataclass(frozen=True, slots=True)
class Slopes:
    """A constant with one number for each channel or place: the smallest and the largest of them."""

    ends: tuple[float, float]


Operand = ir.Value | float | Slopes | None


@dataclass(slots=True)
class Region:
    """Nodes in order, each with its operands, and how the maps lie in each value that they compute."""

    start: ir.Value
    layouts: dict[ir.Value, Layout]
    nodes: dict[ir.Node, list[Operand]] = field(default_factory=dict)

    def __contains__(self, node: object) -> bool:
        return node in self.nodes

    def __iter__(self) -> Iterator[ir.Node]:
        return iter(self.nodes)

    def at(self, end: int) -> Region:
        """The region with one number in place of several: the smallest (0) or the largest (1)."""
        nodes: dict[ir.Node, list[Operand]] = {
            node: [o.ends[end] if isinstance(o, Slopes) else o for o in operands]
            for node, operands in self.nodes.items()
        }
        return replace(self, nodes=nodes)

    @property
    def has_slopes(self) -> bool:
        """Whether numbers differ by channel or place in any of it."""
        return any(isinstance(o, Slopes) for operands in self.nodes.values() for o in operands)


class Regions:
    """The regions of one model."""

    def __init__(self, constants: Constants) -> None:
        self.constants = constants

    def behind(self, value: ir.Value, channels: int, layout: Layout, *, slopes: bool = False) -> Region:
        """Nodes that compute from `value` and numbers alone, or move its axes.

        `slopes`: numbers may differ by channel or place.
        """
        region = Region(value, {value: layout})
        home = value.producer()
        graph = None if home is None else home.graph
        queue = deque([value])
        while queue and len(region.nodes) < _MAX_NODES:
            for node in consumers(queue.popleft())[:_MAX_READERS]:
                elsewhere = node in region or node.graph is not graph or len(node.outputs) != 1
                found = None if elsewhere else self._operands(region, node, channels, slopes=slopes)
                if found is not None:
                    region.nodes[node], region.layouts[node.outputs[0]] = found
                    queue.append(node.outputs[0])
        return region

    def _operands(
        self, region: Region, node: ir.Node, channels: int, *, slopes: bool
    ) -> tuple[list[Operand], Layout] | None:
        """What the node computes with, and how the maps lie in what it gives. None where there is anything else."""
        read = [i for i in node.inputs if i is not None and i in region.layouts]
        layout = region.layouts[read[0]]
        if node.op_type in MOVING or node.op_type in ROUNDING:
            return self._handed_on(node, layout, starts=read[0] is region.start) if node.inputs[0] is read[0] else None
        if node.op_type not in _ELEMENTWISE or node.domain not in STANDARD or len(node.inputs) > _MAX_OPERANDS:
            return None
        if any(region.layouts[i] != layout for i in read):
            return None
        operands: list[Operand] = []
        for value in node.inputs:
            own = value is None or value in region.layouts
            number = None if own or value is None else self._number(value, channels, layout, read[0], slopes=slopes)
            if not own and number is None:
                return None
            operands.append(value if number is None else number)
        return operands, layout

    def _handed_on(self, node: ir.Node, layout: Layout, *, starts: bool) -> tuple[list[Operand], Layout] | None:
        """What only moves axes; or is rounded to integers or made real again, and the bounds of that."""
        if node.op_type in MOVING:
            moved = layout_after(node, layout, self.constants)
            return None if moved is None else ([node.inputs[0]], moved)
        bounds = None if starts else rounding(node, self.constants)
        return None if bounds is None else ([node.inputs[0], *bounds], layout)

    def _number(
        self, value: ir.Value, channels: int, layout: Layout, beside: ir.Value, *, slopes: bool
    ) -> float | Slopes | None:
        """A constant that is one number, or several if these may be, and leaves the shape of what it meets as it is."""
        array = self.constants(self._spread(value, beside) or value)
        if array is None or not 0 < array.size <= _MAX_NUMBERS or not is_of_numbers(array):
            return None
        per_channel = layout.is_per_channel(array, channels)
        if per_channel and (array == array.flat[0]).all():
            return float(array.flat[0])
        fits = per_channel or _is_per_place(array, layout, beside)
        return Slopes((float(array.min()), float(array.max()))) if slopes and fits else None

    def _spread(self, value: ir.Value, beside: ir.Value) -> ir.Value | None:
        """The constant that is expanded to the shape of what it meets, as JAX writes a number beside an array."""
        maker = value.producer()
        if maker is None or maker.op_type != "Expand" or maker.domain not in STANDARD:
            return None
        array = self.constants(maker.inputs[0]) if _are_alike(value.shape, beside.shape) else None
        return maker.inputs[0] if array is not None and array.size == 1 else None


def _are_alike(one: ir.Shape | None, other: ir.Shape | None) -> bool:
    """True where both are known to be the same; sizes without a number are so by name."""
    if one is None or other is None or one != other:
        return False
    return all(isinstance(size, int) or size.value is not None for size in one)


def _is_per_place(array: Array, layout: Layout, beside: ir.Value) -> bool:
    """True where it has one number for all inputs, and is not larger than what it meets."""
    shape = layout.against(array)
    known = beside.shape
    if not shape or shape[0] != 1 or known is None or len(known) != len(shape):
        return False
    return all(size in (1, wide) for size, wide in zip(shape[1:], list(known)[1:], strict=True))


def is_of_numbers(array: Array) -> bool:
    """False for texts and complex numbers."""
    return array.dtype.kind in "fiub" or array.dtype == ml_dtypes.bfloat16
