"""Per-channel scale and shift of the nodes between a convolution and its activation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import onnx_ir as ir

from inspector.contract import Array, Filters
from inspector.graph.constants import Constants
from inspector.graph.layout import Layout, layout_after
from inspector.graph.windows import is_window

_HALF_STEPS: Final[Mapping[ir.DataType | None, float]] = {
    ir.DataType.FLOAT16: 2.0**-11,
    ir.DataType.BFLOAT16: 2.0**-8,
}
"""Of the element types that are coarser than float32."""


def fold(filters: Filters, steps: Sequence[ir.Node], layout: Layout, constants: Constants) -> Filters:
    """Folds steps into filters: W'[c] = scale[c] W[c], b'[c] = scale[c] b[c] + shift[c], in float64.

    Ends at the first step that is no scale and shift per channel. Nodes that only move axes or cut space change
    nothing; nor does a border of zeros as long as nothing was added before: a convolution of zeros is 0.
    `layout`: of the convolution's output.

    BatchNormalization in inference: scale = gamma / sqrt(variance + epsilon), shift = beta - mean * scale.
    """
    with np.errstate(invalid="ignore"):  # a signalling NaN, of whatever a hostile file holds, stays a NaN
        weight, bias = filters.weight.astype(np.float64), filters.bias.astype(np.float64)
    folded: list[str] = []
    views = 0
    for node in steps:
        windowed = is_window(node, layout, constants)
        if windowed and node.op_type == "Pad" and bias.any():
            break
        moved = layout if windowed else layout_after(node, layout, constants)
        if moved is not None:
            views, layout = views + 1, moved
            continue
        with np.errstate(divide="ignore", invalid="ignore"):  # a hostile variance gives NaN here as it does in a run
            affine = _affine(node, len(bias), layout, constants)
        if affine is None:
            break
        scale, shift = affine
        weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
        bias = bias * scale + shift
        folded.append(node.name or node.outputs[0].name or node.op_type)
    return replace(filters, weight=weight, bias=bias, folded=tuple(folded), whole=len(folded) + views == len(steps))


def rounding(values: Iterable[ir.Value | None]) -> float:
    """Half a step at 1 of the coarsest element type among the values; at least that of float32."""
    return max((_HALF_STEPS[v.dtype] for v in values if v is not None and v.dtype in _HALF_STEPS), default=2.0**-24)


def _affine(node: ir.Node, channels: int, layout: Layout, constants: Constants) -> tuple[Array, Array] | None:
    if node.op_type == "BatchNormalization":
        return _batch_norm(node, channels, constants) if layout.axis == 1 else None
    if node.op_type not in ("Add", "Sub", "Mul", "Div"):
        return None
    arrays = [constants(i) for i in node.inputs]
    first = arrays[0] is not None
    number = _per_channel(arrays[0] if first else arrays[1], channels, layout)
    if number is None:
        return None
    one, zero = np.ones(channels), np.zeros(channels)
    return {
        "Add": (one, number),
        "Sub": (-one, number) if first else (one, -number),
        "Mul": (number, zero),
        "Div": (1 / number, zero),
    }[node.op_type]


def _batch_norm(node: ir.Node, channels: int, constants: Constants) -> tuple[Array, Array] | None:
    training = node.attributes.get("training_mode")
    arrays = [constants(i) for i in node.inputs[1:5]]
    trains = (training is not None and training.as_int()) or len(node.outputs) > 1  # before opset 14, by its outputs
    if any(a is None or a.shape != (channels,) for a in arrays) or trains:
        return None  # opset 7 allows numbers per position (spatial=0)
    gamma, beta, mean, variance = (np.asarray(a, np.float64) for a in arrays)
    epsilon = node.attributes["epsilon"].as_float() if "epsilon" in node.attributes else 1e-5
    scale = gamma / np.sqrt(variance + epsilon)
    return scale, beta - mean * scale


def _per_channel(array: Array | None, channels: int, layout: Layout) -> Array | None:
    """The constant as (C,) in float64, when broadcasting makes it one number per channel."""
    if array is None or not layout.is_per_channel(array, channels):
        return None
    return np.broadcast_to(array.reshape(-1), channels).astype(np.float64)
