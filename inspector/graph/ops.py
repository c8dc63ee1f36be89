"""Measures written as ONNX nodes: one place that knows how opsets and element types differ.

Which nodes, and why. HardSigmoid, GlobalAveragePool and GlobalMaxPool have CPU kernels for the runtime's blocked
layout, so the optimiser can leave the activations as they are; Greater, Cast and Reduce* would force a reorder of
every map. So "how many positions are above zero" is HardSigmoid with a slope near the top of float32 (0 for x <= 0,
1 for x >= 2.95e-39; only subnormal numbers fall between), averaged, times the area, rounded: exact to 2^22 positions.
The smallest is minus the largest of -x, with -x by BatchNormalization, as Neg would force the reorder too.
Everything else, and every map whose area is not known when the graph is written, takes the general way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import onnx_ir as ir

from inspector.contract.measures import TAPPED, Value
from inspector.graph.convolutions import has_channels_last
from inspector.graph.quantized import coding_of

SLOPE: Final = 3.4e38
"""Slope of the step, near the largest float32."""
EXACT_AREA: Final = 1 << 22
"""Largest map whose count survives being averaged in float32."""
_REDUCE_AXES_INPUT: Final = {"ReduceSum": 13}
"""Opset from which a reduction takes its axes as an input; 18 for all the others."""


class Lowering:
    """Writes the measures of one graph; equal measures of one tensor become one set of nodes.

    `opset` is the model's; `home`, where there are several graphs, keeps their new names apart.
    """

    def __init__(self, graph: ir.Graph, opset: int, home: str = "") -> None:
        self._graph, self._opset, self._home = graph, opset, home
        self.done: dict[tuple[ir.Value, Value], ir.Value] = {}
        self._constants: dict[tuple[str, tuple[float, ...]], ir.Value] = {}
        self._counter = 0
        self._columns: dict[int, ir.Value] = {}
        self._fed: ir.Value | None = None

    def __call__(
        self, tensor: ir.Value, measure: Value, *, dtype: ir.DataType, rank: int, area: int | None
    ) -> ir.Value:
        """The graph value of `measure` for `tensor`, which is (N, C, *space) of `rank` axes and `dtype`.

        Quantised tensors are measured as the real numbers that they stand for; a tensor with its channels last,
        (N, *space, C), is turned first.
        """
        write = _Writer(self, tensor, dtype, rank, area)
        return write.lower(measure)

    def node(
        self, op: str, inputs: Sequence[ir.Value], attributes: Sequence[ir.Attr] = (), *, domain: str = ""
    ) -> ir.Value:
        """Appends a node with one output."""
        node = ir.Node(domain, op, inputs, attributes, name=self.name(op))
        node.outputs[0].name = self.name(f"{op}_out")
        self._graph.append(node)
        return node.outputs[0]

    def name(self, stem: str) -> str:
        """A name that nothing else in the graph has (see `instrument`, which refuses models that use the prefix)."""
        self._counter += 1
        return f"{PREFIX}{self._home}{stem}_{self._counter}"

    def constant(self, kind: str, *numbers: float, scalar: bool = False) -> ir.Value:
        """An initializer of that NumPy element type, made once."""
        key = (f"{kind}{scalar}", numbers)
        if key not in self._constants:
            array = np.array(numbers[0] if scalar else numbers, kind)
            value = ir.Value(name=self.name("constant"), const_value=ir.tensor(array))
            value.shape, value.dtype = ir.Shape(array.shape), ir.DataType.from_numpy(array.dtype)
            self._graph.register_initializer(value)
            self._constants[key] = value
        return self._constants[key]

    def reduce(self, op: str, x: ir.Value, axes: Sequence[int]) -> ir.Value:
        """A reduction over `axes`, which disappear, in the form of this opset."""
        keep = ir.AttrInt64("keepdims", 0)
        if self._opset >= _REDUCE_AXES_INPUT.get(op, 18):
            return self.node(op, [x, self.constant("int64", *axes)], [keep])
        return self.node(op, [x], [ir.AttrInt64s("axes", list(axes)), keep])

    def cast(self, x: ir.Value, to: ir.DataType) -> ir.Value:
        """A change of element type."""
        return self.node("Cast", [x], [ir.AttrInt64("to", int(to))])

    @property
    def has_inputs(self) -> bool:
        """True where the number of inputs that share a run can be read off the graph's own first input."""
        return bool(self._graph.inputs)

    def for_each_input(self, number: int) -> ir.Value:
        """The number once for each input that is fed: (N, 1) int64, made once."""
        if number not in self._columns:
            if self._fed is None:
                self._fed = self.node("Shape", [self._graph.inputs[0]])
            self._columns[number] = self.column(self.constant("int64", number), self._fed)
        return self._columns[number]

    def column(self, number: ir.Value, shape: ir.Value) -> ir.Value:
        """(N, 1) of one number (1,), where `shape` begins with N."""
        batch = self.node("Gather", [shape, self.constant("int64", 0)])
        cell = self.node("Reshape", [number, self.constant("int64", 1, 1)])
        repeats = self.node("Concat", [batch, self.constant("int64", 1)], [ir.AttrInt64("axis", 0)])
        return self.node("Tile", [cell, repeats])


_MOST_POSITIONS: Final = (1 << 63) - 1
PREFIX: Final = "inspector/"
"""Every name that the rewrite adds begins so."""


class _Writer:
    """Lowers the measures of one tensor."""

    def __init__(self, to: Lowering, tensor: ir.Value, dtype: ir.DataType, rank: int, area: int | None) -> None:
        self.to, self.tensor, self.dtype, self.rank, self.area = to, tensor, dtype, rank, area
        self.wide = dtype == ir.DataType.DOUBLE
        first = tensor.shape is not None and len(tensor.shape) > 1 and not has_channels_last(tensor)
        size = tensor.shape[1] if first and tensor.shape is not None else None
        self.channels = size if isinstance(size, int) else None

    def lower(self, measure: Value) -> ir.Value:
        known = self.to.done
        key = (self.tensor, measure)
        if key not in known:
            rule: Callable[[_Writer, Value], ir.Value] = _RULES[measure.op]
            known[key] = rule(self, measure)
        return known[key]

    def tapped(self, _: Value) -> ir.Value:
        """The maps in the type they are measured in: float32, or float64 for float64 models."""
        coding = coding_of(self.tensor)
        if coding is not None:
            axis = [ir.AttrInt64("axis", coding.axis)] if coding.has_axis else []
            inputs = [i for i in (self.tensor, coding.scale, coding.zero_point) if i is not None]
            real = self.to.node("DequantizeLinear", inputs, axis, domain=coding.domain)
            single = coding.scale.dtype in (None, ir.DataType.FLOAT)
            return self._turned(real if single else self.to.cast(real, ir.DataType.FLOAT))
        if self.wide or self.dtype == ir.DataType.FLOAT:
            return self._turned(self.tensor)
        return self._turned(self.to.cast(self.tensor, ir.DataType.FLOAT))

    def keep(self, _: Value) -> ir.Value:
        return self.to.node("Identity", [self._turned(self.tensor)])

    def _turned(self, maps: ir.Value) -> ir.Value:
        """(N, C, *space), whatever the layout of the tensor."""
        if not has_channels_last(self.tensor):
            return maps
        order = [0, self.rank - 1, *range(1, self.rank - 1)]
        return self.to.node("Transpose", [maps], [ir.AttrInt64s("perm", order)])

    def abs(self, measure: Value) -> ir.Value:
        return self.to.node("Abs", [self.lower(measure.inputs[0])])

    def compare(self, measure: Value) -> ir.Value:
        threshold = self.to.constant("float64" if self.wide else "float32", measure.number or 0.0, scalar=True)
        return self.to.node(measure.op.capitalize(), [self.lower(measure.inputs[0]), threshold])

    def count(self, measure: Value) -> ir.Value:
        mask = measure.inputs[0]
        if self.wide or self.area is None or self.area > EXACT_AREA:
            return self._count_any_area(mask)
        share = self._pool("GlobalAveragePool", self._indicator(mask))
        scaled = self.to.node("Mul", [share, self.to.constant("float32", self.area, scalar=True)])
        rounded = self.to.node("Floor", [self.to.node("Add", [scaled, self.to.constant("float32", 0.5, scalar=True)])])
        return self.to.cast(rounded, ir.DataType.INT64)

    def _indicator(self, mask: Value) -> ir.Value:
        """1.0 where the mask is true, else 0.0."""
        if mask.number == 0.0:
            slope = SLOPE if mask.op == "greater" else -SLOPE
            step = [ir.AttrFloat32("alpha", slope), ir.AttrFloat32("beta", 0.0)]
            return self.to.node("HardSigmoid", [self.lower(mask.inputs[0])], step)
        return self.to.cast(self.lower(mask), ir.DataType.FLOAT)

    def _count_any_area(self, mask: Value) -> ir.Value:
        """Sums along the last axis in float32 (exact below 2^24), the rest in float64 (exact below 2^53)."""
        lines = self.to.reduce("ReduceSum", self.to.cast(self.lower(mask), ir.DataType.FLOAT), [self.rank - 1])
        total = self.to.cast(lines, ir.DataType.DOUBLE)
        if self.rank > 3:
            total = self.to.reduce("ReduceSum", total, list(range(2, self.rank - 1)))
        return self.to.cast(total, ir.DataType.INT64)

    def max(self, measure: Value) -> ir.Value:
        return self._reduce("GlobalMaxPool", "ReduceMax", self.lower(measure.inputs[0]))

    def min(self, measure: Value) -> ir.Value:
        x = self.lower(measure.inputs[0])
        if self.wide:
            return self._reduce("", "ReduceMin", x)
        zero = self.to.constant("float32", 0.0, scalar=True)  # 0 - x, as Neg would show a zero as -0
        return self.to.node("Sub", [zero, self._pool("GlobalMaxPool", self._mirrored(x))])

    def _mirrored(self, x: ir.Value) -> ir.Value:
        """-x, exactly. BatchNormalization by -1 has a kernel for the blocked layout, Neg has none."""
        channels = self.channels
        if channels is None:
            return self.to.node("Neg", [x])
        minus, zero, one = (self.to.constant("float32", *[number] * channels) for number in (-1.0, 0.0, 1.0))
        return self.to.node("BatchNormalization", [x, minus, zero, zero, one], [ir.AttrFloat32("epsilon", 0.0)])

    def mean(self, measure: Value) -> ir.Value:
        return self._reduce("GlobalAveragePool", "ReduceMean", self.lower(measure.inputs[0]))

    def positions(self, _: Value) -> ir.Value:
        if self.area is not None and self.to.has_inputs:
            return self.to.for_each_input(self.area)
        # Where the area is known, N is read off small rows: asking the maps for it would force a reorder of them.
        asked = self._turned(self.tensor) if self.area is None else self.lower(Value("max", "rows", (TAPPED,)))
        shape = self.to.node("Shape", [asked])
        if self.area is None:
            space = self.to.node("Gather", [shape, self.to.constant("int64", *range(2, self.rank))])
            area = self.to.node("ReduceProd", [space], [ir.AttrInt64("keepdims", 1)])
        else:
            area = self.to.constant("int64", self.area)
        return self.to.column(area, shape)

    def _reduce(self, pool: str, reduction: str, x: ir.Value) -> ir.Value:
        return self.to.reduce(reduction, x, list(range(2, self.rank))) if self.wide else self._pool(pool, x)

    def _pool(self, op: str, x: ir.Value) -> ir.Value:
        """(N, C, *space) -> (N, C)."""
        return self.to.node("Flatten", [self.to.node(op, [x])], [ir.AttrInt64("axis", 1)])


_RULES: Final[dict[str, Callable[[_Writer, Value], ir.Value]]] = {
    "tapped": _Writer.tapped,
    "keep": _Writer.keep,
    "abs": _Writer.abs,
    "greater": _Writer.compare,
    "less": _Writer.compare,
    "count": _Writer.count,
    "max": _Writer.max,
    "min": _Writer.min,
    "mean": _Writer.mean,
    "positions": _Writer.positions,
}


def is_known(measure: Value) -> bool:
    """True where `measure` is made of operators that can be written: what `Ops` builds always is."""
    return measure.op in _RULES and all(is_known(i) for i in measure.inputs)


def type_of(measure: Value, dtype: ir.DataType) -> ir.DataType:
    """Element type of the rows of `measure`, for a tensor of `dtype`."""
    if measure.op == "keep":
        return dtype
    if measure.op in ("count", "positions"):
        return ir.DataType.INT64
    return ir.DataType.DOUBLE if dtype == ir.DataType.DOUBLE else ir.DataType.FLOAT


def area_of(shape: ir.Shape | None) -> int | None:
    """Spatial positions of (N, C, *space), or None where a dimension is free, or they are more than can be counted."""
    sizes = [d for d in shape[2:] if isinstance(d, int)] if shape is not None else []
    area = math.prod(sizes) if shape is not None and len(sizes) == len(shape) - 2 else None
    return area if area is not None and 0 <= area <= _MOST_POSITIONS else None
