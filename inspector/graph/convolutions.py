"""The operators that are convolutions: where each keeps what they all have, and what some carry beside it.

The operators of `com.microsoft` are what onnxruntime's own optimiser and quantiser write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from inspector.contract import Array, Zeros
from inspector.errors import ModelError
from inspector.graph.activations.operators import clip
from inspector.graph.constants import STANDARD, Constants

MICROSOFT: Final = "com.microsoft"
_BLOCKED: Final = "com.microsoft.nchwc"


@dataclass(frozen=True, slots=True)
class Form:
    """Where an operator keeps its parts.

    Attributes:
        weight, bias: which input; None: the operator has no bias.
        scales: which inputs hold the scales of the data and of the weight, both of them integers.
        zeros: which input holds the zero point of the weight; it may be missing.
        transposed: the weight is (C, M/groups, *kernel) instead of (M, C/groups, *kernel).
        added: which input is added before the activation that the node carries.
        channels_last: data are (N, *space, C).
    """

    weight: int = 1
    bias: int | None = 2
    scales: tuple[int, int] | None = None
    zeros: int | None = None
    transposed: bool = False
    added: int | None = None
    channels_last: bool = False


_QUANTIZED: Final = Form(weight=3, bias=8, scales=(1, 4), zeros=5)
_FORMS: Final[Mapping[tuple[str, str], Form]] = {
    ("", "Conv"): Form(),
    ("", "ConvTranspose"): Form(transposed=True),
    ("", "DeformConv"): Form(bias=3),
    ("", "ConvInteger"): Form(bias=None, zeros=3),
    ("", "QLinearConv"): _QUANTIZED,
    (MICROSOFT, "QLinearConv"): _QUANTIZED,
    (MICROSOFT, "FusedConv"): Form(added=3),
    (MICROSOFT, "NhwcFusedConv"): Form(added=3, channels_last=True),
}
NAMES: Final = frozenset({name for _, name in _FORMS} | {"NhwcConv", "QLinearConvTranspose"})
"""Every operator that is a convolution; those not watched are left out by name, never silently."""
_UNWATCHED: Final[Mapping[tuple[str, str], str]] = {
    (MICROSOFT, "NhwcConv"): "does not say how its weight is laid out: its documentation is silent about it",
}
_ACTIVATIONS: Final = {
    "Relu": Zeros.EXACT,
    "HardSigmoid": Zeros.EXACT,
    "Tanh": Zeros.NOT_MEANINGFUL,
    "Sigmoid": Zeros.NOT_MEANINGFUL,
    "LeakyRelu": Zeros.NOT_MEANINGFUL,
}
"""What a fused convolution can carry, beside Clip."""

_ATTRIBUTES: Final = {
    **dict.fromkeys(("kernel_shape", "strides", "dilations", "pads"), ir.AttributeType.INTS),
    **dict.fromkeys(("group", "channels_last"), ir.AttributeType.INT),
    **dict.fromkeys(("auto_pad", "activation"), ir.AttributeType.STRING),
    "activation_params": ir.AttributeType.FLOATS,
}
"""Types that nobody has checked in operators that are not the standard's."""


def form_of(node: ir.Node) -> Form | None:
    """The node's form; None where it is no convolution that can be read."""
    form = _FORMS.get(("" if node.domain in STANDARD else node.domain, node.op_type))
    if form is None or "channels_last" not in node.attributes:
        return form
    last = node.attributes["channels_last"]
    if last.type == ir.AttributeType.INT and last.as_int():
        return Form(form.weight, form.bias, form.scales, form.zeros, channels_last=True)
    return form


def has_channels_last(value: ir.Value) -> bool:
    """True for what a convolution gives as (N, *space, C)."""
    node = value.producer()
    form = None if node is None else form_of(node)
    return form is not None and form.channels_last


def why_unread(node: ir.Node) -> str:
    """Why a convolution by name cannot be watched; empty where it can."""
    if form_of(node) is None:
        return _UNWATCHED.get((node.domain, node.op_type)) or _why_unknown(node.domain)
    if not node.outputs:
        return "gives nothing"
    wrong = next((n for n, a in node.attributes.data.items() if a.type != _ATTRIBUTES.get(n, a.type)), "")
    if wrong:
        return f"has an attribute of another type than it must have, {wrong!r}"
    name = _carried_name(node)
    if name and name not in _ACTIVATIONS and name != "Clip":
        return f"carries an activation that is not known, {name!r}"
    return ""


def _why_unknown(domain: str) -> str:
    if domain == _BLOCKED:
        return "keeps its channels in blocks, as onnxruntime optimised it for one processor: load what it was made from"
    if domain in (*STANDARD, MICROSOFT):
        return "is of an operator that is not watched yet"
    return f"is an operator of {domain[:80]!r}, where it may mean anything"


def carried_activation(node: ir.Node) -> tuple[str, Zeros] | None:
    """The activation inside of the node, named as a separate one would be, and what a zero after it means."""
    name = _carried_name(node)
    if not name:
        return None
    if name != "Clip":
        return name, _ACTIVATIONS[name]
    numbers = tuple(node.attributes["activation_params"].as_floats()) if "activation_params" in node.attributes else ()
    if len(numbers) != 2:
        raise ModelError(
            f"{node.op_type} {node.name or node.outputs[0].name!r}",
            "the Clip that it carries has no bounds",
            expected="activation_params of two numbers",
            found=str(numbers),
        )
    return clip(*numbers)


def adds_before_activation(node: ir.Node) -> bool:
    """True where the node adds another value, a residual sum, to what it convolves."""
    form = form_of(node)
    return form is not None and form.added is not None and input_of(node, form.added) is not None


def _carried_name(node: ir.Node) -> str:
    form = form_of(node) if "activation" in node.attributes else None
    if form is None or form.added is None:
        return ""
    try:
        return str(node.attributes["activation"].as_string())
    except TypeError:
        return repr(node.attributes["activation"].value)  # no UTF-8


def input_of(node: ir.Node, index: int | None) -> ir.Value | None:
    """An optional input."""
    return node.inputs[index] if index is not None and index < len(node.inputs) else None


def as_numbers(array: Array) -> Array | None:
    """In float64; None where the elements are texts, truth values or complex."""
    return None if array.dtype.kind in "OSUbc" else array.astype(np.float64)


def stored_numbers(node: ir.Node, form: Form, constants: Constants) -> tuple[Array, Array | None] | None:
    """Weight, as stored, and bias, (M,) or None: real numbers, whatever stands in the file.

    Integers are multiplied out: (w - w_zero_point) * w_scale, and a bias times x_scale * w_scale. ConvInteger has no
    scale of its own: its weights are w - w_zero_point.

    None where any of it is only known when the model runs.
    """
    weight, bias_value = constants(input_of(node, form.weight)), input_of(node, form.bias)
    bias = constants(bias_value)
    if weight is None or (bias_value is not None and bias is None):
        return None
    return (weight, bias) if form.zeros is None else _multiplied_out(weight, bias, node, form, constants)


def _multiplied_out(
    weight: Array, bias: Array | None, node: ir.Node, form: Form, constants: Constants
) -> tuple[Array, Array | None] | None:
    """Of integers; a weight is (M, C/groups, *kernel) then. What is no number is left as it is."""
    if as_numbers(weight[:0]) is None or (bias is not None and as_numbers(bias.ravel()[:0]) is None):
        return weight, bias
    of_data, of_weight = form.scales or (None, None)
    zeros = _per_filter(node, form.zeros, len(weight), 0.0, constants)
    scale = _per_filter(node, of_weight, len(weight), 1.0, constants)
    data = _per_filter(node, of_data, 1, 1.0, constants)
    if zeros is None or scale is None or (bias is not None and data is None):
        return None
    shape = (-1, *[1] * (weight.ndim - 1))
    fits = bias is not None and data is not None and bias.shape == (len(weight),)
    with np.errstate(over="ignore", invalid="ignore"):  # a hostile scale gives Inf or NaN here as it does in a run
        real = (weight.astype(np.float32) - zeros.reshape(shape)) * scale.reshape(shape)
        return real, bias * (data * scale) if fits else bias


def _per_filter(node: ir.Node, index: int | None, filters: int, default: float, constants: Constants) -> Array | None:
    """A scale or zero point, (1,) or (M,) in float32; None where it is computed."""
    value = input_of(node, index)
    if value is None:
        return np.full(1, default, np.float32)
    array = constants(value)
    if array is not None and (array.size not in (1, filters) or as_numbers(array) is None):
        raise ModelError(
            f"{node.op_type} {node.name or node.outputs[0].name!r}",
            "a scale or zero point does not fit",
            expected=f"one number, or {filters}" if filters > 1 else "one number",
            found=f"shape {array.shape} of {array.dtype.name}",
        )
    return None if array is None else array.ravel().astype(np.float32)
