"""Per-channel scale and shift of the nodes between a convolution and its activation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import onnx_ir as ir

from inspector.contract import Array, Filters
from inspector.graph.constants import STANDARD, Constants

SPATIAL: Final = frozenset({"Squeeze", "Unsqueeze"})
"""Operators that take or add axes of size 1."""
_HALF_STEPS: Final[Mapping[ir.DataType | None, float]] = {
    ir.DataType.FLOAT16: 2.0**-11,
    ir.DataType.BFLOAT16: 2.0**-8,
}
"""Of the element types that are coarser than float32."""


def fold(filters: Filters, steps: Sequence[ir.Node], constants: Constants) -> Filters:
    """Folds steps into filters: W'[c] = scale[c] W[c], b'[c] = scale[c] b[c] + shift[c], in float64.

    Ends at the first step that is no scale and shift per channel; axes of size 1 that come or go change nothing.

    BatchNormalization in inference: scale = gamma / sqrt(variance + epsilon), shift = beta - mean * scale.
    """
    with np.errstate(invalid="ignore"):  # a signalling NaN, of whatever a hostile file holds, stays a NaN
        weight, bias = filters.weight.astype(np.float64), filters.bias.astype(np.float64)
    folded: list[str] = []
    views, rank = 0, weight.ndim
    for node in steps:
        viewed = rank_after(node, rank, constants)
        if viewed is not None:
            views, rank = views + 1, viewed
            continue
        with np.errstate(divide="ignore", invalid="ignore"):  # a hostile variance gives NaN here as it does in a run
            affine = _affine(node, len(bias), rank, constants)
        if affine is None:
            break
        scale, shift = affine
        weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
        bias = bias * scale + shift
        folded.append(node.name or node.outputs[0].name or node.op_type)
    return replace(filters, weight=weight, bias=bias, folded=tuple(folded), whole=len(folded) + views == len(steps))


def rank_after(node: ir.Node, rank: int, constants: Constants) -> int | None:
    """How many axes a value (N, C, *space) of `rank` axes has behind a node that takes or adds spatial ones of size 1.

    None for every other node, and where it is only known at run time which axes they are.
    """
    if node.op_type not in SPATIAL or node.domain not in STANDARD:
        return None
    axes = _axes(node, constants)
    after = rank + len(axes) * (1 if node.op_type == "Unsqueeze" else -1)
    most = max(rank, after)
    spatial = {axis % most for axis in axes if -most <= axis < most}
    return after if axes and len(spatial) == len(axes) and min(spatial) >= 2 else None


def _axes(node: ir.Node, constants: Constants) -> list[int]:
    """As an attribute, or from opset 13 on as an input; empty where they are not given or not constant."""
    if "axes" in node.attributes:
        return [int(axis) for axis in node.attributes["axes"].as_ints()]
    array = constants(node.inputs[1]) if len(node.inputs) > 1 else None
    return [] if array is None else [int(axis) for axis in array.reshape(-1)]


def rounding(values: Iterable[ir.Value | None]) -> float:
    """Half a step at 1 of the coarsest element type among the values; at least that of float32."""
    return max((_HALF_STEPS[v.dtype] for v in values if v is not None and v.dtype in _HALF_STEPS), default=2.0**-24)


def _affine(node: ir.Node, channels: int, rank: int, constants: Constants) -> tuple[Array, Array] | None:
    if node.op_type == "BatchNormalization":
        return _batch_norm(node, channels, constants)
    if node.op_type not in ("Add", "Sub", "Mul", "Div"):
        return None
    arrays = [constants(i) for i in node.inputs]
    first = arrays[0] is not None
    number = _per_channel(arrays[0] if first else arrays[1], channels, rank)
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


def _per_channel(array: Array | None, channels: int, rank: int) -> Array | None:
    """The constant as (C,) in float64, when broadcasting against (N, C, *space) makes it one number per channel."""
    if array is None or array.ndim > rank:
        return None
    shape = (1,) * (rank - array.ndim) + array.shape
    if any(d != 1 for axis, d in enumerate(shape) if axis != 1) or shape[1] not in (1, channels):
        return None
    return np.broadcast_to(array.reshape(shape[1]), channels).astype(np.float64)
