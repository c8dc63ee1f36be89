"""From convolution nodes to layers: geometry, names, taps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from inspector.contract import Layer, Tap, TapKind
from inspector.errors import ModelError
from inspector.graph.constants import MAX_ELEMENTS, STANDARD, Constants
from inspector.graph.walk import Path, Walks

SUPPORTED: Final = ("Conv", "ConvTranspose")
CONVOLUTIONS: Final = (*SUPPORTED, "ConvInteger", "QLinearConv", "DeformConv", "FusedConv", "NhwcConv", "NhwcFusedConv")
"""Every operator that is a convolution; those not supported are left out by name, never silently."""
_AUTO_PADS: Final = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A layer and where it sits in the graph."""

    layer: Layer
    node: ir.Node
    path: Path


def find_layers(model: ir.Model, constants: Constants) -> tuple[tuple[Site, ...], tuple[str, ...]]:
    """All layers in execution order, and what was left out and why, one sentence each."""
    sites: list[Site] = []
    left_out: list[str] = []
    taken: set[str] = set()
    walks = Walks(constants)
    for node in model.graph.all_nodes():
        if node.op_type not in CONVOLUTIONS:
            continue
        reason = _why_not(node, model)
        shape = None if reason else _weight_shape(node, constants)
        if shape is None:
            label = node.name or node.outputs[0].name or "without a name"
            reason = reason or "has a weight whose shape is only known at run time"
            left_out.append(f"{node.op_type} {label!r} {reason}")
        else:
            sites.append(_site(node, shape, len(sites), _unique(node, taken), walks))
    return tuple(sites), tuple(left_out)


def _why_not(node: ir.Node, model: ir.Model) -> str:
    """Why a convolution is not watched, or nothing."""
    if node.graph is not model.graph:
        return "is inside the body of an If, Loop or Scan"
    watched = node.op_type in SUPPORTED and node.domain in STANDARD
    return "" if watched else "is of an operator that is not watched yet"


def _unique(node: ir.Node, taken: set[str]) -> str:
    """The node's name; its output's where that is missing or taken (output names are unique in ONNX)."""
    name = node.name if node.name and node.name not in taken else str(node.outputs[0].name)
    while name in taken:
        name += "'"
    taken.add(name)
    return name


def _site(node: ir.Node, shape: tuple[int, ...], index: int, name: str, walks: Walks) -> Site:
    groups, auto_pad = _int(node, "group", 1), _text(node, "auto_pad", "NOTSET")
    rank = len(shape) - 2
    if rank < 1 or groups < 1 or min(shape) < 1 or shape[0] % groups or math.prod(shape) > MAX_ELEMENTS:
        raise ModelError(
            f"{node.op_type} {name!r}",
            "its weight and groups do not fit each other",
            expected=f"(M, C/groups, *kernel) with M a multiple of groups, at most {MAX_ELEMENTS} numbers",
            found=f"weight {shape}, groups {groups}",
        )
    if auto_pad not in _AUTO_PADS:
        raise ModelError(
            f"{node.op_type} {name!r}", "its auto_pad is none", expected=", ".join(_AUTO_PADS), found=repr(auto_pad)
        )
    transposed = node.op_type == "ConvTranspose"
    channels_in, channels_out = (shape[0], shape[1] * groups) if transposed else (shape[1] * groups, shape[0])
    path = walks.follow(node.outputs[0], channels_out, rank + 2)
    bias = channels_out if len(node.inputs) > 2 and node.inputs[2] is not None else 0
    layer = Layer(
        name=name,
        index=index,
        op=node.op_type,
        weight_shape=shape,
        groups=groups,
        kernel=shape[2:],
        strides=_ints(node, "strides", (1,) * rank, least=1),
        dilations=_ints(node, "dilations", (1,) * rank, least=1),
        pads=_ints(node, "pads", (0,) * (2 * rank), least=0) if auto_pad == "NOTSET" else (),
        auto_pad=auto_pad,
        in_channels=channels_in,
        out_channels=channels_out,
        parameters=math.prod(shape) + bias,
        taps=_taps(name, node, path, channels_out),
        activation=path.activation,
        linear=path.linear,
    )
    return Site(layer, node, path)


def _weight_shape(node: ir.Node, constants: Constants) -> tuple[int, ...] | None:
    """As stored; None where it is only known when the model runs."""
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    if weight is None:
        return None
    if weight.const_value is not None:
        return tuple(weight.const_value.shape.numpy())
    array = constants(weight)
    if array is not None:
        return tuple(array.shape)
    known = weight.shape is not None and all(isinstance(d, int) for d in weight.shape)
    return tuple(weight.shape.numpy()) if known and weight.shape is not None else None


def _taps(layer: str, node: ir.Node, path: Path, channels: int) -> dict[TapKind, Tap]:
    taps = {TapKind.CONV: Tap(layer, TapKind.CONV, str(node.outputs[0].name), channels)}
    if path.norm is not None:
        taps[TapKind.NORM] = Tap(layer, TapKind.NORM, str(path.norm.name), channels)
    if path.act is not None:
        taps[TapKind.ACT] = Tap(
            layer, TapKind.ACT, str(path.act.name), channels, path.activation, path.zeros, path.shared, path.bypassed
        )
    return taps


def _int(node: ir.Node, name: str, default: int) -> int:
    return int(node.attributes[name].as_int()) if name in node.attributes else default


def _text(node: ir.Node, name: str, default: str) -> str:
    try:
        return str(node.attributes[name].as_string()) if name in node.attributes else default
    except TypeError:
        return repr(node.attributes[name].value)  # no UTF-8


def _ints(node: ir.Node, name: str, default: tuple[int, ...], *, least: int) -> tuple[int, ...]:
    value = tuple(int(i) for i in node.attributes[name].as_ints()) if name in node.attributes else default
    if len(value) != len(default) or min(value) < least:
        raise ModelError(
            f"{node.op_type} {node.name!r}",
            f"attribute {name!r} does not fit the weight's rank, or is too small",
            expected=f"{len(default)} numbers from {least}",
            found=str(value),
        )
    return value
