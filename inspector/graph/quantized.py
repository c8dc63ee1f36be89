"""Integers that stand for real numbers: which values of a graph are such, what is zero there, and what rectifies.

A quantised value holds integers q for the real numbers (q - zero_point) * scale; q == zero_point is exactly 0. Real
numbers outside of what the integer type can hold saturate. So where the zero point is the type's smallest number, all
that is negative becomes 0: an activation in itself, and how quantisers write a Relu that they leave out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import ml_dtypes
import numpy as np
import onnx_ir as ir

from inspector.contract import Array, Zeros
from inspector.contract.model import UNBOUNDED
from inspector.graph.activations.operators import Activation
from inspector.graph.constants import STANDARD, Constants
from inspector.graph.convolutions import MICROSOFT, as_numbers, input_of
from inspector.graph.layout import MOVING

Domains = tuple[str, ...]
_BOTH: Final[Domains] = (*STANDARD, MICROSOFT)
_CODED: Final[Mapping[str, tuple[Domains, int]]] = {
    "QuantizeLinear": (_BOTH, 1),
    "QLinearConv": (_BOTH, 6),
    "QLinearAdd": ((MICROSOFT,), 6),
    "QLinearLeakyRelu": ((MICROSOFT,), 3),
    "QLinearSigmoid": ((MICROSOFT,), 3),
}
"""Operators that give quantised values, and which input is the scale; the zero point follows it."""
_ACTIVATIONS: Final = {"QLinearLeakyRelu": "LeakyRelu", "QLinearSigmoid": "Sigmoid"}
_QUANTISING: Final = frozenset({"Div", "Floor", "Round", "Cast", "Reshape"})
"""Operators that make integers of a bias while a model runs."""
_MOST_MOVES: Final = 4
"""Nodes that move axes between a QuantizeLinear and its DequantizeLinear; exporters of TFLite files leave one there."""
REALS: Final = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE, ir.DataType.BFLOAT16})


@dataclass(frozen=True, slots=True, eq=False)
class Coding:
    """What the integers of a value mean.

    Attributes:
        scale, zero_point: values of the graph, one number or one per channel; without a zero point it is 0.
        node: the node that made the integers.
    """

    scale: ir.Value
    zero_point: ir.Value | None
    node: ir.Node

    @property
    def axis(self) -> int:
        """Along which several scales run."""
        return int(self.node.attributes["axis"].as_int()) if self.has_axis else 1

    @property
    def has_axis(self) -> bool:
        """False before opset 13, and where there is one scale by definition."""
        return "axis" in self.node.attributes

    @property
    def domain(self) -> str:
        """Where the DequantizeLinear is that takes the same integers: the runtime's own takes more types."""
        return self.node.domain if self.node.op_type == "QuantizeLinear" else ""


def coding_of(value: ir.Value) -> Coding | None:
    """How a value is quantised; None where it is not, or not by an operator known here."""
    node = value.producer()
    if node is None or node.op_type not in _CODED:
        return None
    domains, index = _CODED[node.op_type]
    scale = input_of(node, index)
    axis = node.attributes.get("axis")
    if node.domain not in domains or scale is None or "block_size" in node.attributes:
        return None
    if axis is not None and axis.type != ir.AttributeType.INT:
        return None
    return Coding(scale, input_of(node, index + 1), node)


def _coding_before(value: ir.Value) -> Coding | None:
    """As `coding_of`, also behind nodes that only move axes, where one scale holds for all."""
    coding, moved = coding_of(value), False
    for _ in range(_MOST_MOVES):
        node = value.producer()
        if coding is not None or node is None or node.op_type not in MOVING or node.domain not in STANDARD:
            break
        value, moved = node.inputs[0] or value, True
        coding = coding_of(value)
    several = moved and coding is not None and (coding.scale.shape is None or any(n != 1 for n in coding.scale.shape))
    return None if several else coding


def type_range(coding: Coding, constants: Constants) -> tuple[int, int] | None:
    """Smallest and largest integer of the type; None where it holds no integers, or is not known."""
    zero = constants(coding.zero_point)
    if zero is not None:
        dtype: np.dtype[np.generic] | None = zero.dtype
    elif coding.zero_point is None and "output_dtype" not in coding.node.attributes:
        dtype = np.dtype(np.uint8)
    else:
        found = coding.node.outputs[0].dtype
        dtype = None if found in (None, ir.DataType.UNDEFINED) or found is None else found.numpy()
    return None if dtype is None else _limits(dtype)


def numbers_of(coding: Coding, constants: Constants) -> tuple[Array, Array] | None:
    """Scale and zero point as float64, (1,) or (C,) each; None where they are computed, or make no sense."""
    scale, zero = constants(coding.scale), constants(coding.zero_point)
    if scale is None or (coding.zero_point is not None and zero is None):
        return None
    numbers, zeros = as_numbers(scale.ravel()), np.zeros(1) if zero is None else as_numbers(zero.ravel())
    if numbers is None or zeros is None or not numbers.size or not zeros.size:
        return None
    sensible = np.isfinite(numbers).all() and (numbers > 0).all() and np.isfinite(zeros).all()
    return (numbers, zeros) if sensible else None


def rectified(value: ir.Value, constants: Constants) -> Activation | None:
    """The value and what rectified it, where it is quantised with nothing below the zero point.

    Of integers with one scale, or of the real numbers that DequantizeLinear makes of any.
    """
    node = value.producer()
    coded = node.inputs[0] if node is not None and _is_dequantize(node, constants) else value
    coding = None if coded is None else coding_of(coded)
    if coding is None:
        return None
    limits, numbers = type_range(coding, constants), numbers_of(coding, constants)
    if limits is None or numbers is None or not (numbers[1] == limits[0]).all():
        return None
    if coded is value and max(n.size for n in numbers) > 1:
        return None
    high = float((limits[1] - limits[0]) * numbers[0].max())
    return Activation(value, f"Saturation(0,{high:g})", Zeros.EXACT)


def rectified_alike(readers: Sequence[ir.Node], value: ir.Value, constants: Constants) -> Activation | None:
    """What rectified a value that is quantised once for each of its readers, by the same numbers every time."""
    codings = [coding_of(node.outputs[0]) for node in readers if _is_quantize(node) and node.inputs[0] is value]
    first = codings[0] if len(codings) == len(readers) > 1 else None
    if first is None or not all(c is not None and _codes_alike(c, first, constants) for c in codings):
        return None
    after = readers[0].outputs[0]
    pair = next((use.node for use in after.uses() if _is_dequantize(use.node, constants)), None)
    return None if pair is None else rectified(pair.outputs[0], constants)


def activation(node: ir.Node, value: ir.Value) -> Activation | None:
    """What an activation operator on integers gives; None where it is none."""
    if node.domain != MICROSOFT or node.op_type not in _ACTIVATIONS or node.inputs[0] is not value:
        return None
    return Activation(node.outputs[0], _ACTIVATIONS[node.op_type], Zeros.NOT_MEANINGFUL)


PASSED: Final = frozenset({"QuantizeLinear", "DequantizeLinear", "QLinearAdd", "Add", "Cast", "Mul"})
"""Operators that `passed_over` may know."""
Passed = Literal["step", "pass", "sum", "round"]


def passed_over(node: ir.Node, value: ir.Value, constants: Constants) -> Passed | None:
    """What a node of quantised arithmetic is on the way from a convolution to its activation.

    `round`: leaves the numbers what they are but for rounding and saturation. None: not known here.
    """
    if node.inputs[0] is value and _is_quantize(node):
        return "round"
    if node.inputs[0] is value and (_is_dequantize(node, constants) or _is_widening(node, value, constants)):
        return "pass"
    if _is_rescaling(node, value, constants) or _is_integer_bias(node, value, constants):
        return "step"
    if node.op_type != "QLinearAdd" or node.domain != MICROSOFT:
        return None
    terms = [i for i in (node.inputs[0], input_of(node, 3)) if i is not value]
    return "sum" if len(terms) == 1 and not constants.is_constant(terms[0]) else None


def rounding(node: ir.Node, constants: Constants) -> tuple[float, float] | None:
    """Bounds of what a node leaves as it is but for rounding: what is quantised, or made real again.

    They are infinite, but 0 on the side on which the integer type holds nothing. None for other nodes, and where the
    numbers are computed or differ by channel.
    """
    if _is_dequantize(node, constants):
        return UNBOUNDED
    coding = coding_of(node.outputs[0]) if _is_quantize(node) else None
    limits = None if coding is None else type_range(coding, constants)
    numbers = None if coding is None else numbers_of(coding, constants)
    if limits is None or numbers is None or max(n.size for n in numbers) > 1:
        return None
    low, high = (0.0 if numbers[1][0] == limit else end for limit, end in zip(limits, UNBOUNDED, strict=True))
    return low, high


def is_known(node: ir.Node) -> bool:
    """True for an operator of the runtime's own that is understood here."""
    return node.domain == MICROSOFT and (node.op_type in _CODED or node.op_type == "DequantizeLinear")


def holds_integers(value: ir.Value) -> bool:
    """True where ordinary operators would take the integers for numbers."""
    return _coding_before(value) is not None


def integer_bounds(coding: Coding, real: tuple[float, float], constants: Constants) -> tuple[float, float]:
    """Bounds of the integers made of real numbers within `real`: those of the type, and the zero point's side of 0."""
    limits, numbers = type_range(coding, constants), numbers_of(coding, constants)
    if limits is None:
        return UNBOUNDED
    low, high = float(limits[0]), float(limits[1])
    if numbers is not None and numbers[1].size == 1:
        zero = float(numbers[1][0])
        low, high = (max(low, zero) if real[0] >= 0 else low), (min(high, zero) if real[1] <= 0 else high)
    return low, high


def real_bounds(
    integers: tuple[float, float], scale: ir.Value | None, zero_point: ir.Value | None, constants: Constants
) -> tuple[float, float]:
    """Bounds of (q - zero_point) * scale, for integers of the zero point's type within these bounds.

    Without a scale it is 1. Unbounded where one of them is computed.
    """
    factors, zeros = constants(scale), constants(zero_point)
    if (scale is not None and factors is None) or (zero_point is not None and zeros is None):
        return UNBOUNDED
    low, high = integers
    limits = None if zeros is None else _limits(zeros.dtype)
    if limits is not None:
        low, high = max(low, limits[0]), min(high, limits[1])
    offsets = np.zeros(1) if zeros is None else as_numbers(zeros.ravel())
    numbers = np.ones(1) if factors is None else as_numbers(factors.ravel())
    if offsets is None or numbers is None or len({offsets.size, numbers.size} - {1}) > 1:
        return UNBOUNDED
    with np.errstate(invalid="ignore"):
        corners = (np.array([[low], [high]]) - offsets) * numbers
    return (float(corners.min()), float(corners.max())) if corners.size else UNBOUNDED


def _limits(dtype: np.dtype[np.generic]) -> tuple[int, int] | None:
    """Smallest and largest number of an integer type; None for other types."""
    try:
        limits = ml_dtypes.iinfo(dtype)  # type: ignore[no-untyped-call]  # its stubs leave the constructor out
    except ValueError:
        return None
    return int(limits.min), int(limits.max)


def _is_quantize(node: ir.Node) -> bool:
    return node.op_type == "QuantizeLinear" and node.domain in _BOTH


def _is_dequantize(node: ir.Node, constants: Constants) -> bool:
    """Of the integers as they are coded: with scale and zero point of the node that made them."""
    coded = input_of(node, 0) if node.op_type == "DequantizeLinear" and node.domain in _BOTH else None
    coding = None if coded is None else _coding_before(coded)
    if coding is None:
        return False
    pairs = ((input_of(node, 1), coding.scale), (input_of(node, 2), coding.zero_point))
    return all(_are_equal(a, b, constants) for a, b in pairs)


def _codes_alike(a: Coding, b: Coding, constants: Constants) -> bool:
    """The same real numbers become the same integers of the same type."""
    pairs = ((a.scale, b.scale), (a.zero_point, b.zero_point))
    return type_range(a, constants) == type_range(b, constants) and all(_are_equal(*pair, constants) for pair in pairs)


def _are_equal(a: ir.Value | None, b: ir.Value | None, constants: Constants) -> bool:
    """The same value, or constants of the same numbers; no zero point is a zero point of 0."""
    first, second = constants(a), constants(b)
    if a is b or (first is None and second is None):
        return a is b
    return np.array_equal(
        np.zeros(1) if first is None else first.ravel(), np.zeros(1) if second is None else second.ravel()
    )


def _is_widening(node: ir.Node, value: ir.Value, constants: Constants) -> bool:
    """The sums of a ConvInteger, or these and their bias, cast to real numbers."""
    if node.op_type != "Cast" or node.domain not in STANDARD or node.attributes["to"].as_int() not in REALS:
        return False
    home = value.producer()
    biased = home is not None and any(i is not None and _is_integer_bias(home, i, constants) for i in home.inputs)
    return biased or _are_sums(value)


def _are_sums(value: ir.Value) -> bool:
    """What a ConvInteger gives."""
    home = value.producer()
    return home is not None and home.op_type == "ConvInteger" and home.domain in STANDARD


def _is_integer_bias(node: ir.Node, value: ir.Value, constants: Constants) -> bool:
    """Adds a bias to the sums of a ConvInteger: a constant, divided by the scale that the data has in this run.

    Quantisers of onnxruntime before 1.6 write it so, as integers.
    """
    others = [i for i in node.inputs if i is not None and i is not value]
    if node.op_type != "Add" or node.domain not in STANDARD or len(others) != 1 or not _are_sums(value):
        return False
    bias: ir.Value | None = others[0]
    for _ in range(len(_QUANTISING) + 1):
        home = None if bias is None or constants.is_constant(bias) else bias.producer()
        if home is None or home.op_type not in _QUANTISING or home.domain not in STANDARD:
            break
        bias = home.inputs[0]
    return bias is not None and constants.is_constant(bias)


def _is_rescaling(node: ir.Node, value: ir.Value, constants: Constants) -> bool:
    """The product that gives the sums of a ConvInteger the scale of its data, found at run time, and of its weight."""
    cast = value.producer()
    if node.op_type != "Mul" or node.domain not in STANDARD or cast is None or not cast.inputs:
        return False
    made = cast.inputs[0]
    return made is not None and _is_widening(cast, made, constants) and _is_one_scale(node, value)


def _is_one_scale(node: ir.Node, value: ir.Value) -> bool:
    """The other factor is a product with DynamicQuantizeLinear's scale, which is one positive number."""
    other = next((i for i in node.inputs if i is not None and i is not value), None)
    product = None if other is None else other.producer()
    if product is None or product.op_type != "Mul" or product.domain not in STANDARD:
        return False
    makers = [None if i is None else i.producer() for i in product.inputs]
    return any(m is not None and m.op_type == "DynamicQuantizeLinear" and m.domain in STANDARD for m in makers)
