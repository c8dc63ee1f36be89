"""Models that take one input without a batch axis: they are read as if they had one, which is always 1."""

from __future__ import annotations

from itertools import count
from typing import Final

import numpy as np
import onnx_ir as ir

from inspector.graph.bodies import Nesting
from inspector.graph.convolutions import NAMES

_AXES_ARE_AN_INPUT: Final = 13
"""Opset from which Squeeze takes its axes as an input."""


def add_batch_axis(model: ir.Model) -> str:
    """Gives the model's input a first axis of size 1, which a Squeeze takes away again; all numbers stay as they are.

    Only where it is certain that a run takes one input: the model has no other, every convolution reads maps with
    N = 1, which have more axes than the input, and the input's first axis is not their N: it is fixed and not 1, or the
    maps have it as another axis.

    Returns:
        What is to know of that; empty where nothing was changed.
    """
    nesting = Nesting(model)
    fed = [value for value in model.graph.inputs if not value.is_initializer()]
    if len(fed) != 1 or not _is_one_input(fed[0], nesting):
        return ""
    value = fed[0]
    sizes = [str(size) if isinstance(size, int) else size.value or "?" for size in value.shape or ()]
    batched = ir.Value(name=value.name, shape=ir.Shape([1, *(value.shape or ())]), type=value.type)
    model.graph.inputs[model.graph.inputs.index(value)] = batched
    _squeeze(model, batched, value, {str(known.name) for known in nesting.values()})
    return f"the file's input {batched.name!r} ({', '.join(sizes)}) has no batch axis, so every input runs alone"


def _is_one_input(value: ir.Value, nesting: Nesting) -> bool:
    shape = value.shape
    if not shape or shape[0] in (None, 1) or value.is_graph_output():
        return False
    read = [node.inputs[0] for node in nesting.nodes if node.op_type in NAMES and node.inputs]
    shapes = [maps.shape for maps in read if maps is not None]
    known = [maps for maps in shapes if maps is not None and len(maps) > len(shape) and maps[0] == 1]
    return bool(read) and len(known) == len(read) and (isinstance(shape[0], int) or shape[0] in tuple(known[0])[1:])


def _squeeze(model: ir.Model, batched: ir.Value, value: ir.Value, taken: set[str]) -> None:
    """Puts a Squeeze of the first value's batch axis in the place of the second one, under names of their own."""
    names = (name for number in count(2) if (name := f"{value.name}~{number}") not in taken)
    inputs, attributes = [batched], [ir.AttrInt64s("axes", [0])]
    if model.opset_imports[""] >= _AXES_ARE_AN_INPUT:
        axes = ir.Value(name=next(names), const_value=ir.tensor(np.array([0], np.int64)))
        model.graph.register_initializer(axes)
        inputs, attributes = [batched, axes], []
    squeezed = ir.Value(name=next(names), type=value.type, shape=value.shape)
    node = ir.Node("", "Squeeze", inputs, attributes, outputs=[squeezed], name=next(names))
    value.replace_all_uses_with(squeezed)
    model.graph.insert_before(model.graph[0], node)
