"""From convolution nodes to layers: geometry, names, taps."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import onnx_ir as ir

from inspector.contract import Layer, Tap, TapKind, Zeros
from inspector.errors import ModelError
from inspector.graph.bodies import Nesting
from inspector.graph.constants import MAX_ELEMENTS, Constants
from inspector.graph.convolutions import (
    NAMES,
    Form,
    adds_before_activation,
    carried_activation,
    form_of,
    input_of,
    why_unread,
)
from inspector.graph.layout import Layout
from inspector.graph.quantized import coding_of, numbers_of, rectified
from inspector.graph.walk import Path, Walks

_AUTO_PADS: Final = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A layer and where it sits in the graph; in its output maps lie as `layout` says."""

    layer: Layer
    node: ir.Node
    form: Form
    path: Path
    layout: Layout


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a layer stands: its number, its name, and what to call the graph that it is in."""

    index: int
    name: str
    home: str


def find_layers(nesting: Nesting, constants: Constants) -> tuple[tuple[Site, ...], tuple[str, ...]]:
    """All layers in execution order, and what was left out and why, one sentence each."""
    sites: list[Site] = []
    left_out: list[str] = []
    taken: set[str] = set()
    walks = Walks(constants)
    for node in nesting.nodes:
        if node.op_type not in NAMES:
            continue
        form, reason = form_of(node), nesting.why_not(node) or why_unread(node)
        shape = None if reason or form is None else _weight_shape(input_of(node, form.weight), constants)
        if shape is None or form is None:
            label = node.name or next((o.name for o in node.outputs), "") or "without a name"
            reason = reason or "has a weight whose shape is only known at run time"
            left_out.append(f"{node.op_type} {label!r} {reason}")
        else:
            place = _Place(len(sites), _unique(node, taken), nesting.home(node))
            sites.append(_site(node, form, shape, place, walks))
    return tuple(sites), tuple(left_out)


def _unique(node: ir.Node, taken: set[str]) -> str:
    """The node's name; its output's where that is missing or taken (output names are unique in ONNX)."""
    name = node.name if node.name and node.name not in taken else str(node.outputs[0].name)
    while name in taken:
        name += "'"
    taken.add(name)
    return name


def _site(node: ir.Node, form: Form, shape: tuple[int, ...], place: _Place, walks: Walks) -> Site:
    name = place.name
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
    channels_in, channels_out = (shape[0], shape[1] * groups) if form.transposed else (shape[1] * groups, shape[0])
    layout = Layout(rank + 2, rank + 1 if form.channels_last else 1)
    path = _path(node, channels_out, layout, walks, place.home)
    bias = channels_out if input_of(node, form.bias) is not None else 0
    layer = Layer(
        name=name,
        index=place.index,
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
        taps=_taps(name, node, path, channels_out, layout, walks.constants),
        activation=path.activation,
        linear=path.linear,
    )
    return Site(layer, node, form, path, layout)


def _path(node: ir.Node, channels: int, layout: Layout, walks: Walks, home: str) -> Path:
    """What follows the convolution, or is inside of its node."""
    output, added = node.outputs[0], adds_before_activation(node)
    inside = carried_activation(node)
    if inside is not None:
        return Path(act=output, activation=inside[0], zeros=inside[1], shared=added, act_layout=layout)
    path = walks.follow(output, channels, layout, home=home)
    return replace(path, shared=True) if added else path


def _weight_shape(weight: ir.Value | None, constants: Constants) -> tuple[int, ...] | None:
    """As stored; None where it is only known when the model runs."""
    if weight is None:
        return None
    if weight.const_value is not None:
        return tuple(weight.const_value.shape.numpy())
    array = constants(weight)
    if array is not None:
        return tuple(array.shape)
    known = weight.shape is not None and all(isinstance(d, int) for d in weight.shape)
    return tuple(weight.shape.numpy()) if known and weight.shape is not None else None


def _taps(  # noqa: PLR0917 - what a tap is made of
    layer: str, node: ir.Node, path: Path, channels: int, layout: Layout, constants: Constants
) -> dict[TapKind, Tap]:
    """Without `conv` where the node gives only what an activation, its own or saturation, has made of it."""

    def tap(
        kind: TapKind,
        value: ir.Value,
        lies: Layout,
        *,
        activation: str | None = None,
        zeros: Zeros = Zeros.NOT_MEANINGFUL,
        shared: bool = False,
        bypassed: bool = False,
    ) -> Tap:
        scale, zero = _coding_numbers(value, channels, lies, constants)
        return Tap(layer, kind, str(value.name), channels, activation, zeros, shared, scale, zero, bypassed)

    taps: dict[TapKind, Tap] = {}
    output = node.outputs[0]
    if carried_activation(node) is None and rectified(output, constants) is None:
        taps[TapKind.CONV] = tap(TapKind.CONV, output, layout, shared=adds_before_activation(node))
    if path.norm is not None:
        taps[TapKind.NORM] = tap(TapKind.NORM, path.norm, path.norm_layout)
    if path.act is not None:
        taps[TapKind.ACT] = tap(
            TapKind.ACT,
            path.act,
            path.act_layout,
            activation=path.activation,
            zeros=path.zeros,
            shared=path.shared,
            bypassed=path.bypassed,
        )
    return taps


def _coding_numbers(
    value: ir.Value, channels: int, layout: Layout, constants: Constants
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Scale and zero point of quantised values, one or one per channel; empty where there are none such."""
    coding = coding_of(value)
    found = None if coding is None else numbers_of(coding, constants)
    if coding is None or found is None:
        return (), ()
    sizes = {array.size for array in found}
    if sizes != {1} and (coding.axis != layout.axis or not sizes <= {1, channels}):
        return (), ()
    return tuple(float(s) for s in found[0]), tuple(int(z) for z in found[1])


def _int(node: ir.Node, name: str, default: int) -> int:
    return int(node.attributes[name].as_int()) if name in node.attributes else default


def _text(node: ir.Node, name: str, default: str) -> str:
    try:
        return str(node.attributes[name].as_string()) if name in node.attributes else default
    except TypeError:
        return repr(node.attributes[name].value)  # no UTF-8


def _ints(node: ir.Node, name: str, default: tuple[int, ...], *, least: int) -> tuple[int, ...]:
    value = tuple(map(int, node.attributes[name].as_ints())) if name in node.attributes else ()
    value = value or default  # onnxruntime takes an empty list for none; exporters of TensorFlow write such
    if len(value) != len(default) or min(value) < least:
        raise ModelError(
            f"{node.op_type} {node.name!r}",
            f"attribute {name!r} does not fit the weight's rank, or is too small",
            expected=f"{len(default)} numbers from {least}",
            found=str(value),
        )
    return value
