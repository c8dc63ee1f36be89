"""Inputs without a batch axis: told from others, and given one, so that all that follows sees a batch of one.

A model may take one picture, (C, H, W), and put the axis of the batch before it inside. Its first axis is no batch for
certain where

1. no axis of the input lies on the batch of a convolution, and that of each first convolution is 1, or was put there
   before anything of the input was lost (a first one has no convolution before it);
2. one of the first reads across the input's first axis: it lies on the channels, of which every filter reads several,
   or on space, along which the kernel is longer than 1.

A single channel satisfies 2 as well, unless a Reshape put the axis there: that could have split a batch of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
import onnx_ir as ir

from inspector.graph.bodies import Nesting, bodies
from inspector.graph.constants import Constants
from inspector.graph.convolutions import NAMES, form_of
from inspector.graph.receptive.fields import in_order, traces_of
from inspector.graph.receptive.step import Dims, dims
from inspector.graph.receptive.trace import Trace

_MOST: Final = 16
"""Inputs that are looked at; every one costs a walk through the graph."""
_AXES_AS_INPUT: Final = 13
"""The opset from which on Squeeze takes its axes as an input."""
_SHARING: Final = ("Reshape", "Flatten")
"""Operators that do not tell which of several axes of size 1 is which."""


@dataclass(frozen=True, slots=True)
class Lone:
    """Names of inputs without a batch axis.

    Attributes:
        given: those that were given one, with the shape that the file has.
        unclear: those of which the first axis is no batch by 1, and nothing by 2.
    """

    given: Mapping[str, str]
    unclear: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _First:
    """A convolution, and what it reads of an input that meets no convolution before."""

    node: ir.Node
    trace: Trace | None
    shape: Dims
    split: bool

    @property
    def place(self) -> int | None:
        """The axis of its data on which the input's first axis lies; None where that is lost."""
        axes = self.trace.axes if self.trace is not None else ()
        return next((t for t, axis in enumerate(axes) if (w := axis.single) is not None and w.axis == 0), None)

    @property
    def is_of_one(self) -> bool:
        """Whether its batch is 1, for all that is known."""
        size = self.shape[0] if self.shape else None
        return size == 1 or (not isinstance(size, int) and self.trace is not None and not self.trace.lost)


def give_batch_axis(model: ir.Model, nesting: Nesting) -> Lone:
    """Puts an axis of size 1 before every input that has no batch axis for certain, and takes it away behind it.

    Changes the model in place; names are unique in it.
    """
    given, unclear = {}, []
    rank = max((len(dims(n.inputs[0]) or ()) for n in nesting.nodes if _is_convolution(n)), default=0)
    candidates = [(v, s) for v in model.graph.inputs if not v.is_initializer() and (s := dims(v)) and len(s) < rank]
    constants = Constants()
    for image, shape in candidates if len(candidates) <= _MOST else []:
        firsts = _firsts(image, model, constants)
        if not firsts:
            continue
        certain = all(f.is_of_one for f in firsts) and any(_reads_across(f, shape[0]) for f in firsts)
        if certain and not image.is_graph_output():
            given[str(image.name)] = f"({', '.join('?' if d is None else str(d) for d in shape)})"
            _give(image, model, nesting)
        elif isinstance(shape[0], int) and shape[0] > 1 and all(f.shape[:1] == (1,) for f in firsts):
            unclear.append(str(image.name))
    return Lone(given, tuple(unclear))


def _is_convolution(node: ir.Node) -> bool:
    return node.op_type in NAMES and bool(node.inputs)


def _firsts(image: ir.Value, model: ir.Model, constants: Constants) -> list[_First]:
    """The first convolutions that an input reaches; none where an axis of it lies on the batch of any convolution."""
    traces = traces_of(image, model, constants)
    found: list[_First] = []
    behind: dict[str, bool] = {str(image.name): False}
    split = {str(image.name): False}
    for node in in_order(model.graph):
        read = [name for name in _read(node) if name in split]
        if not read:
            continue
        late = any(behind[name] for name in read)
        is_split = node.op_type in _SHARING or any(split[name] for name in read)
        data = _data(node) if _is_convolution(node) else None
        if data is not None and (name := str(data.name)) in split:
            trace = traces.get(name)
            if trace is not None and trace.live and trace.axes[0].windows:
                return []
            if not behind[name]:
                found.append(_First(node, trace, dims(data) or (), split[name]))
        for output in node.outputs:
            behind[str(output.name)], split[str(output.name)] = late or data is not None, is_split
    return found


def _data(node: ir.Node) -> ir.Value | None:
    """What a convolution reads; as it was before it was rounded by its own range, where traces end."""
    data = node.inputs[0]
    maker = None if data is None else data.producer()
    return data if maker is None or maker.op_type != "DynamicQuantizeLinear" else maker.inputs[0]


def _read(node: ir.Node) -> Iterator[str]:
    """Names of what it reads, in its bodies too."""
    within: Iterable[ir.Node] = chain.from_iterable(body.all_nodes() for body in bodies(node))
    return (str(value.name) for reader in (node, *within) for value in reader.inputs if value is not None)


def _reads_across(first: _First, size: int | str | None) -> bool:
    """Whether the convolution reads several entries of the input's first axis, of this size, or its only channel."""
    form, place = form_of(first.node), first.place
    weight = dims(first.node.inputs[form.weight]) if form is not None and len(first.node.inputs) > form.weight else None
    if form is None or weight is None or place is None or len(weight) != len(first.shape):
        return False
    channels = len(weight) - 1 if form.channels_last else 1
    if place != channels:
        kernel = weight[place + form.channels_last]
        return isinstance(kernel, int) and kernel > 1
    groups = first.node.attributes["group"].as_int() if "group" in first.node.attributes else 1
    width = weight[0] if form.transposed else weight[1]
    if not isinstance(width, int):
        return False
    each = width // max(groups, 1) if form.transposed else width
    return each > 1 or (each == groups == 1 and size == 1 and not first.split)


def _give(image: ir.Value, model: ir.Model, nesting: Nesting) -> None:
    graph, name = model.graph, _new_name(str(image.name), nesting)
    alone = ir.Value(name=name, shape=image.shape, type=image.type)
    image.replace_all_uses_with(alone)
    axes, attributes = [], [ir.AttrInt64s("axes", [0])]
    if graph.opset_imports.get("", 1) >= _AXES_AS_INPUT:
        axis = ir.Value(name=f"{name}:axis", const_value=ir.tensor(np.zeros(1, np.int64), name=f"{name}:axis"))
        axis.shape, axis.dtype = ir.Shape([1]), ir.DataType.INT64
        graph.register_initializer(axis)
        axes, attributes = [axis], []
    squeeze = ir.Node("", "Squeeze", [image, *axes], attributes, outputs=[alone], name=name)
    graph.insert_before(graph[0], squeeze)
    image.shape = ir.Shape([1, *(image.shape or ())])


def _new_name(name: str, nesting: Nesting) -> str:
    """One that begins with this, as that of no other value does."""
    new = f"{name}:alone"
    while any((value.name or "").startswith(new) for value in nesting.values()):
        new += "~"
    return new
