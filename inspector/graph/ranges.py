"""Bounds that every element of a value keeps, whatever the model is fed: what makes a filter structurally dead.

Interval arithmetic over the operators that bound or preserve; anything else gives (-inf, inf), which is always true.
Where arithmetic rounds, the bounds are widened by more than it can round, in bfloat16 too, so that they hold strictly.
NaN keeps no bounds, and neither does what is computed from it: the largest of two NaN is -3.4e38 in some kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import onnx_ir as ir

from inspector.contract.model import UNBOUNDED
from inspector.graph.activations.operators import clip_bounds
from inspector.graph.constants import STANDARD, Constants
from inspector.graph.convolutions import form_of, input_of
from inspector.graph.quantized import coding_of, integer_bounds, is_known, real_bounds

Range = tuple[float, float]
ROUNDING: Final = 2.0**-7
"""Relative rounding of one operation in bfloat16, the coarsest type, twice over."""

_BOUNDED: Final[dict[str, Range]] = {
    "Sigmoid": (0.0, 1.0),
    "HardSigmoid": (0.0, 1.0),
    "Softmax": (0.0, 1.0),
    "Tanh": (-1.0, 1.0),
    "Softsign": (-1.0, 1.0),
    "Softplus": (0.0, np.inf),
    "Abs": (0.0, np.inf),
    "Sqrt": (0.0, np.inf),
    "Exp": (0.0, np.inf),
}
_SAME: Final = frozenset(
    {
        "Identity",
        "Dropout",
        "MaxPool",
        "GlobalMaxPool",
        "Reshape",
        "Flatten",
        "Transpose",
        "Squeeze",
        "Unsqueeze",
        "Slice",
        "Split",
        "Expand",
        "Tile",
        "Gather",
        "DepthToSpace",
        "SpaceToDepth",
    }
)
_UNION: Final = frozenset({"Concat", "Max", "Min"})


class Ranges:
    """Bounds of one model's values, each worked out once."""

    def __init__(self, constants: Constants) -> None:
        self._constants = constants
        self._known: dict[ir.Value, Range] = {}

    def __call__(self, value: ir.Value | None) -> Range:
        """(low, high), -inf and inf where nothing is known."""
        if value is None:
            return UNBOUNDED
        stack = [value]
        while stack:
            current = stack[-1]
            missing = [i for i in self._needed(current) if i not in self._known]
            if current in self._known or not missing:
                self._known.setdefault(current, self._of(current))
                stack.pop()
            else:
                stack.extend(missing)
        return self._known[value]

    def read_by(self, node: ir.Node) -> Range:
        """Of every number that a convolution can multiply with a weight: of quantised data, the real numbers.

        A DeformConv reads between pixels, which are mixed linearly, outside of the picture, which is 0, and times a
        mask. Of the data of a ConvInteger, which has no scale, the integers minus the zero point.
        """
        read = self(input_of(node, 0))
        form = form_of(node)
        if node.op_type == "DeformConv":
            mixed, mask = _sum([_union([read, (0.0, 0.0)])]), input_of(node, 4)
            return mixed if mask is None else self._kept(_product([mixed, self(mask)]))
        if form is None or form.zeros is None:
            return read
        scale, zero = (input_of(node, form.scales[0]), input_of(node, 2)) if form.scales else (None, input_of(node, 2))
        return self._kept(real_bounds(read, scale, zero, self._constants))

    def _needed(self, value: ir.Value) -> list[ir.Value]:
        node = value.producer()
        if node is not None and _is_quantized(node):
            return [i for i in (input_of(node, 0),) if i is not None]
        known = node is not None and node.domain in STANDARD and (node.op_type in _RULES or node.op_type == "Clip")
        return [i for i in node.inputs if i is not None] if known and node is not None else []

    def _of(self, value: ir.Value) -> Range:
        """NaN, from a constant or from inf - inf, bounds nothing."""
        return self._kept(self._bounds(value))

    def _quantized(self, node: ir.Node, value: ir.Value) -> Range:
        """Integers keep the bounds of their type, and zero."""
        data, coding = input_of(node, 0), coding_of(value)
        read = UNBOUNDED if data is None else self._known.get(data, UNBOUNDED)
        if coding is not None:
            return integer_bounds(coding, read if node.op_type == "QuantizeLinear" else UNBOUNDED, self._constants)
        low, high = real_bounds(read, input_of(node, 1), input_of(node, 2), self._constants)
        return _sum([(low, high)])

    @staticmethod
    def _kept(found: Range) -> Range:
        return UNBOUNDED if np.isnan(found).any() else found

    def _bounds(self, value: ir.Value) -> Range:
        node = value.producer()
        if node is None:
            array = self._constants(value)
            return UNBOUNDED if array is None or not array.size else (float(array.min()), float(array.max()))
        if _is_quantized(node):
            return self._quantized(node, value)
        if node.domain not in STANDARD or (node.op_type == "Dropout" and len(node.inputs) > 2):
            return UNBOUNDED  # a Dropout that may be training scales what it lets through
        inputs = [self._known.get(i, UNBOUNDED) if i is not None else UNBOUNDED for i in node.inputs]
        if node.op_type == "Clip":
            low, high = clip_bounds(node, self._constants)
            clipped = np.minimum(np.maximum(inputs[0], low), high)  # a computed bound is NaN, and stays it
            return float(clipped[0]), float(clipped[1])
        if node.op_type in _RULES:
            low, high = _RULES[node.op_type](inputs)
            return (-np.inf if _may_fall(node) else low), high
        return _sum([_BOUNDED.get(node.op_type, UNBOUNDED)])  # a kernel's tanh can be 1.0000001


def _is_quantized(node: ir.Node) -> bool:
    coded = any(coding_of(output) is not None for output in node.outputs[:1])
    return coded or (node.op_type == "DequantizeLinear" and (node.domain in STANDARD or is_known(node)))


def _may_fall(node: ir.Node) -> bool:
    """Whether it gives less than it reads: a dilated window may lie in padding alone, an LRN may turn signs."""
    attributes = node.attributes
    if node.op_type == "LRN":
        return "bias" in attributes and attributes["bias"].as_float() <= 0
    dilated = "dilations" in attributes and max(attributes["dilations"].as_ints()) > 1
    named = "auto_pad" in attributes and attributes["auto_pad"].as_string().startswith("SAME")
    return dilated and (named or ("pads" in attributes and max(attributes["pads"].as_ints()) > 0))


def _union(inputs: list[Range]) -> Range:
    return min(low for low, _ in inputs), max(high for _, high in inputs)


def _sum(inputs: list[Range]) -> Range:
    """Of one range, too: widened for the rounding of what gave it. A bound that adds up zeros stays 0."""
    lows, highs = zip(*inputs, strict=True)
    return sum(lows) - ROUNDING * sum(map(abs, lows)), sum(highs) + ROUNDING * sum(map(abs, highs))


def _product(inputs: list[Range]) -> Range:
    (a, b), (c, d) = inputs
    corners = [0.0 if 0 in (x, y) else x * y for x in (a, b) for y in (c, d)]
    return _sum([(min(corners), max(corners))])


_RULES: Final[dict[str, Callable[[list[Range]], Range]]] = {
    **dict.fromkeys(_SAME, lambda inputs: inputs[0]),
    "Relu": lambda inputs: (max(inputs[0][0], 0.0), max(inputs[0][1], 0.0)),
    "GlobalAveragePool": _sum,
    "AveragePool": lambda inputs: _sum([_union([inputs[0], (0.0, 0.0)])]),  # padding may be counted in
    "LRN": lambda inputs: (0.0 if inputs[0][0] >= 0 else -np.inf, np.inf),  # the divisor may be < 1
    **dict.fromkeys(_UNION, _union),
    "Add": _sum,
    "Sum": _sum,
    "Mul": _product,
}
