"""Measures written as ONNX nodes: one place that knows how opsets and element types differ.

Which nodes, and why. HardSigmoid, GlobalAveragePool and GlobalMaxPool have CPU kernels for the runtime's blocked
layout, so the optimiser can leave the activations as they are; Greater, Cast and Reduce* would force a reorder of
every map. So "how many positions are above zero" is HardSigmoid with a slope near the top of float32 (0 for x <= 0,
1 for x >= 2.95e-39; only subnormal numbers fall between), averaged, times the area, rounded: exact to 2^22 positions.
Any other threshold is a step between two neighbouring float32 (see `step`).
The average is one of averages of windows, as a runtime adds up naively (see `averaging`).
The smallest is minus the largest of -x, with -x by BatchNormalization, as Neg would force the reorder too.
Everything else, and every map whose area is not known when the graph is written, takes the general way.

What is left to do once maps are pooled is done outside of the graph (see `finishing`): there a node for a few numbers
costs more to call than to compute.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import onnx
import onnx_ir as ir

from inspector.contract.measures import TAPPED, Value
from inspector.graph.rewriting.averaging import windows
from inspector.graph.rewriting.finishing import Row
from inspector.graph.rewriting.maps import EXACT_AREA, Watched
from inspector.graph.writing import PREFIX, Attribute, add_node, add_tensor

SLOPE: Final = 3.4e38
"""Slope of the step, near the largest float32."""
_LEAST_STEP: Final = 2.0**-100
"""Smallest threshold but 0 with a step of its own: its slope still is a float32."""
_AXES_INPUT: Final = {"ReduceSum": 13, "Squeeze": 13, "Unsqueeze": 13}
"""Opset from which an operator takes its axes as an input; 18 for all the others."""
NARROW: Final = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
"""Element types that are computed with in float32."""


class Lowering:
    """Writes the measures of one graph; equal measures of one tensor become one set of nodes.

    `opset` is the model's; `home`, where there are several graphs, keeps their new names apart.
    """

    def __init__(self, graph: onnx.GraphProto, opset: int, home: str = "") -> None:
        self._graph, self._opset, self._home = graph, opset, home
        self.maps: dict[tuple[str, Value], str] = {}
        self.rows: dict[tuple[str, Value], Row] = {}
        self._constants: dict[tuple[str, tuple[float, ...]], str] = {}
        self._counter = 0
        self._ones = ""

    def __call__(self, tensor: Watched, measure: Value) -> Row:
        """Writes `measure`, whose form is rows, of the tensor."""
        return _Measuring(self, tensor).row(measure)

    def gather(self, groups: Sequence[Sequence[Row]]) -> str:
        """One value (N, sum of C) of rows of one element type, group by group; rows of a group have one rank.

        onnxruntime walks a graph from its end, last nodes first. So the nodes that join a group each are written last
        group first: then the first group is computed first, and no map has to wait for all the others.
        """
        joined: list[str] = []
        for group in reversed(groups):
            x = self.node("Concat", [row.value for row in group], axis=1) if len(group) > 1 else group[0].value
            joined.append(x if group[0].rest in ("done", "one") else self.node("Flatten", [x], axis=1))
        return self.node("Concat", joined[::-1], axis=1) if len(joined) > 1 else joined[0]

    def node(self, op: str, inputs: Sequence[str], *, domain: str = "", **attributes: Attribute) -> str:
        """Appends a node, and gives the name of its one output."""
        output = self.name(f"{op}_out")
        add_node(self._graph, op, inputs, output, name=self.name(op), attributes=attributes, domain=domain)
        return output

    def name(self, stem: str) -> str:
        """A name that nothing else in the graph has (see `instrument`, which refuses models that use the prefix)."""
        self._counter += 1
        return f"{PREFIX}{self._home}{stem}_{self._counter}"

    def constant(self, kind: str, *numbers: float, scalar: bool = False) -> str:
        """An initializer of that NumPy element type, made once."""
        key = (f"{kind}{scalar}", numbers)
        if key not in self._constants:
            name = self.name("constant")
            add_tensor(self._graph, name, np.array(numbers[0] if scalar else numbers, kind))
            self._constants[key] = name
        return self._constants[key]

    def reduce(self, op: str, x: str, axes: Sequence[int]) -> str:
        """A reduction over `axes`, which disappear."""
        return self._along(op, x, axes, keepdims=0)

    def squeeze(self, x: str, axis: int) -> str:
        """A view without this axis, of size 1."""
        return self._along("Squeeze", x, [axis])

    def unsqueeze(self, x: str, axis: int) -> str:
        """A view with one axis more, of size 1."""
        return self._along("Unsqueeze", x, [axis])

    def _along(self, op: str, x: str, axes: Sequence[int], **attributes: int) -> str:
        """An operator that takes axes, in the form of this opset."""
        if self._opset >= _AXES_INPUT.get(op, 18):
            return self.node(op, [x, self.constant("int64", *axes)], domain="", **attributes)
        return self.node(op, [x], domain="", axes=list(axes), **attributes)

    def cast(self, x: str, to: ir.DataType) -> str:
        """A change of element type."""
        return self.node("Cast", [x], to=int(to))

    @property
    def has_inputs(self) -> bool:
        """True where the number of inputs that share a run can be read off the graph's own first input."""
        return bool(self._graph.input)

    def for_each_input(self) -> str:
        """1 for each input that is fed: (N, 1) int64, made once."""
        if not self._ones:
            fed = self.node("Shape", [self._graph.input[0].name])
            self._ones = self.column(self.constant("int64", 1), fed)
        return self._ones

    def column(self, number: str, shape: str) -> str:
        """(N, 1) of one number (1,), where `shape` begins with N."""
        batch = self.node("Gather", [shape, self.constant("int64", 0)])
        cell = self.node("Reshape", [number, self.constant("int64", 1, 1)])
        repeats = self.node("Concat", [batch, self.constant("int64", 1)], axis=0)
        return self.node("Tile", [cell, repeats])


class _Measuring:
    """Lowers the measures of one tensor."""

    def __init__(self, to: Lowering, tensor: Watched) -> None:
        self.to, self.tensor, self.rank, self.area = to, tensor, tensor.layout.rank, tensor.area
        self.wide = tensor.dtype == ir.DataType.DOUBLE
        self.is_line = self.rank == 3  # one axis of space, along which all numbers are added up at once

    def row(self, measure: Value) -> Row:
        key = (self.tensor.name, measure)
        if key not in self.to.rows:
            self.to.rows[key] = _ROWS[measure.op](self, measure)
        return self.to.rows[key]

    def elementwise(self, measure: Value) -> str:
        key = (self.tensor.name, measure)
        if key not in self.to.maps:
            self.to.maps[key] = _MAPS[measure.op](self, measure)
        return self.to.maps[key]

    def tapped(self, _: Value) -> str:
        """The maps in the type they are measured in: float32, or float64 for float64 models."""
        coding, name = self.tensor.coding, self.tensor.name
        if coding is not None:
            axis = {"axis": coding.axis} if coding.has_axis else {}
            numbers = [str(v.name) for v in (coding.scale, coding.zero_point) if v is not None]
            real = self.to.node("DequantizeLinear", [name, *numbers], domain=coding.domain, **axis)
            single = coding.scale.dtype in (None, ir.DataType.FLOAT)
            return self._turned(real if single else self.to.cast(real, ir.DataType.FLOAT))
        if self.wide or self.tensor.dtype == ir.DataType.FLOAT:
            return self._turned(name)
        if self.tensor.dtype not in NARROW:
            return self._turned(self.to.cast(name, ir.DataType.FLOAT))
        # Where a runtime computes float16 in float32, it takes its narrowing and our widening for nothing and leaves
        # out both: then rows tell of numbers that the tensor cannot hold. A view between them costs nothing.
        widened = self.to.cast(self.to.unsqueeze(name, self.rank), ir.DataType.FLOAT)
        return self._turned(self.to.squeeze(widened, self.rank))

    def _turned(self, maps: str) -> str:
        """(N, C, *space), whatever the layout of the tensor."""
        if self.tensor.layout.axis == 1:
            return maps
        return self.to.node("Transpose", [maps], perm=self.tensor.layout.channels_first)

    def abs(self, measure: Value) -> str:
        return self.to.node("Abs", [self.elementwise(measure.inputs[0])])

    def compare(self, measure: Value) -> str:
        threshold = self.to.constant("float64" if self.wide else "float32", measure.number or 0.0, scalar=True)
        return self.to.node(measure.op.capitalize(), [self.elementwise(measure.inputs[0]), threshold])

    def keep(self, _: Value) -> Row:
        maps = self.to.node("Identity", [self._turned(self.tensor.name)])
        return Row(maps, self.tensor.dtype, "done", self.rank, None)

    def count(self, measure: Value) -> Row:
        mask = measure.inputs[0]
        if self.wide or self.area is None or self.area > EXACT_AREA:
            return self._done(self._count_any_area(mask), ir.DataType.INT64)
        share = self.to.node("GlobalAveragePool", [self._indicator(mask)])
        return Row(share, ir.DataType.INT64, "share", self.rank, self.tensor.channels, self.tensor.space)

    def _indicator(self, mask: Value) -> str:
        """1.0 where the mask is true, else 0.0."""
        line = step(mask.number or 0.0)
        if line is None:
            return self.to.cast(self.elementwise(mask), ir.DataType.FLOAT)
        alpha, beta = line if mask.op == "greater" else (-line[0], -line[1])
        return self.to.node("HardSigmoid", [self.elementwise(mask.inputs[0])], alpha=alpha, beta=beta)

    def _count_any_area(self, mask: Value) -> str:
        """Sums along the last axis in float32 (exact below 2^24), the rest in float64 (exact below 2^53).

        All in float64 where there is no rest: a recording may have more than 2^24 positions.
        """
        truths = self.to.cast(self.elementwise(mask), ir.DataType.DOUBLE if self.is_line else ir.DataType.FLOAT)
        total = self.to.reduce("ReduceSum", truths, [self.rank - 1])
        if not self.is_line:
            total = self.to.cast(total, ir.DataType.DOUBLE)
            total = self.to.reduce("ReduceSum", total, list(range(2, self.rank - 1)))
        return self.to.cast(total, ir.DataType.INT64)

    def max(self, measure: Value) -> Row:
        x = self.elementwise(measure.inputs[0])
        if self.wide:
            return self._done(self.to.reduce("ReduceMax", x, self._axes), ir.DataType.DOUBLE)
        return self._pooled("GlobalMaxPool", x)

    def min(self, measure: Value) -> Row:
        x = self.elementwise(measure.inputs[0])
        if self.wide:
            return self._done(self.to.reduce("ReduceMin", x, self._axes), ir.DataType.DOUBLE)
        mirrored = self._mirrored(x)
        pooled = self.to.node("GlobalMaxPool", [mirrored])
        return Row(pooled, ir.DataType.FLOAT, "mirrored", self.rank, self.tensor.channels)

    def _mirrored(self, x: str) -> str:
        """-x, exactly. BatchNormalization by -1 has a kernel for the blocked layout, Neg has none."""
        channels = self.tensor.channels
        if channels is None or self.tensor.layout.axis != 1:
            return self.to.node("Neg", [x])
        minus, zero, one = (self.to.constant("float32", *[number] * channels) for number in (-1.0, 0.0, 1.0))
        return self.to.node("BatchNormalization", [x, minus, zero, zero, one], epsilon=0.0)

    def mean(self, measure: Value) -> Row:
        x = self.elementwise(measure.inputs[0])
        if self.wide or self.area is None:
            narrow = self.is_line and not self.wide
            x = self.to.cast(x, ir.DataType.DOUBLE) if narrow else x
            for axis in reversed(self._axes):  # one by one, so that few numbers are added up at once
                x = self.to.reduce("ReduceMean", x, [axis])
            x = self.to.cast(x, ir.DataType.FLOAT) if narrow else x
            return self._done(x, ir.DataType.DOUBLE if self.wide else ir.DataType.FLOAT)
        (side, levels), axes = windows(self.tensor.space or ()), self.rank - 2
        for _ in range(levels):
            x = self.to.node(
                "AveragePool", [x], kernel_shape=[side] * axes, strides=[side] * axes, pads=[side - 1] * 2 * axes,
                count_include_pad=1,
            )  # fmt: skip
        pooled = self._pooled("GlobalAveragePool", x)
        return replace(pooled, rest="padded", space=self.tensor.space, windows=(side, levels)) if levels else pooled

    def positions(self, _: Value) -> Row:
        if self.area is not None and self.to.has_inputs:
            return Row(self.to.for_each_input(), ir.DataType.INT64, "one", 2, 1, self.tensor.space)
        # Where the area is known, N is read off small rows: asking the maps for it would force a reorder of them.
        asked = self._turned(self.tensor.name) if self.area is None else self.row(Value("max", "rows", (TAPPED,))).value
        shape = self.to.node("Shape", [asked])
        if self.area is None:
            space = self.to.node("Gather", [shape, self.to.constant("int64", *range(2, self.rank))])
            area = self.to.node("ReduceProd", [space], keepdims=1)
        else:
            area = self.to.constant("int64", self.area)
        return self._done(self.to.column(area, shape), ir.DataType.INT64, channels=1)

    @property
    def _axes(self) -> list[int]:
        """Those of space."""
        return list(range(2, self.rank))

    def _pooled(self, pool: str, x: str) -> Row:
        return Row(self.to.node(pool, [x]), ir.DataType.FLOAT, "pooled", self.rank, self.tensor.channels)

    def _done(self, value: str, dtype: ir.DataType, channels: int | None = None) -> Row:
        return Row(value, dtype, "done", 2, channels or self.tensor.channels)


_MAPS: Final[Mapping[str, Callable[[_Measuring, Value], str]]] = {
    "tapped": _Measuring.tapped,
    "abs": _Measuring.abs,
    "greater": _Measuring.compare,
    "less": _Measuring.compare,
}
_ROWS: Final[Mapping[str, Callable[[_Measuring, Value], Row]]] = {
    "keep": _Measuring.keep,
    "count": _Measuring.count,
    "max": _Measuring.max,
    "min": _Measuring.min,
    "mean": _Measuring.mean,
    "positions": _Measuring.positions,
}


def is_known(measure: Value) -> bool:
    """True where `measure` is made of operators that can be written: what `Ops` builds always is."""
    return (measure.op in _ROWS or measure.op in _MAPS) and all(is_known(i) for i in measure.inputs)


def step(threshold: float) -> tuple[float, float] | None:
    """Slope and offset of the line that HardSigmoid cuts to 0 up to the threshold and 1 above it; negated, 1 below.

    The slope is a power of two, so slope * x is exact, and one over half the distance between float32 numbers at the
    threshold: so the line is at most 0 up to it, and at least 1 from the next number on, rounded or not. None where
    slope or offset would leave float32.
    """
    if threshold == 0:
        return SLOPE, 0.0
    if not _LEAST_STEP <= abs(threshold) <= np.finfo(np.float32).max:
        return None
    single = float(np.float32(threshold))
    slope = math.ldexp(1.0, 25 - math.frexp(single)[1])
    return slope, -slope * single
