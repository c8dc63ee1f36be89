"""Shapes of all values of a graph, by the inference of onnx, which works on messages.

A message is made of the graph once; what it says comes back value by value. Making a second graph of the answer, as
the pass of onnx_ir does, costs as much as loading.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnx_ir as ir

from inspector.graph.bodies import bodies
from inspector.graph.contents import bodies_of
from inspector.graph.weights import APART, reference


def infer(model: ir.Model, message: onnx.ModelProto | None = None) -> None:
    """Adds the shapes and types that follow from those of the inputs; where inference fails, everything stays.

    Args:
        model: changed in place; of IR version 4 or newer.
        message: what the model was just made of, with a shape for every initializer; by default one is made here.
    """
    try:
        found = infer_message(_message(model) if message is None else message)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return  # shapes may be unknown everywhere, and what cannot be written is told where it is written
    known: dict[bytes, tuple[ir.Shape | None, ir.TypeProtocol | None]] = {}
    for graph, told in _pairs(model.graph, found.graph):
        kinds = types(told)
        for value in (*graph.inputs, *(output for node in graph for output in node.outputs)):
            kind = kinds.get(value.name or "")
            if kind is None:
                continue
            key = kind.SerializeToString()
            if key not in known:  # most values of a network share their type with others
                known[key] = (
                    ir.serde.deserialize_type_proto_for_shape(kind),
                    ir.serde.deserialize_type_proto_for_type(kind),
                )
            shape, dtype = known[key]
            value.shape = value.shape if shape is None else shape
            value.type = value.type if dtype is None else dtype


def infer_message(message: onnx.ModelProto) -> onnx.ModelProto:
    """The message with the types of all values that onnx can tell, contents of small tensors taken into account.

    Raises:
        InferenceError: the message is beyond what inference can read; single nodes never raise.
    """
    return onnx.shape_inference.infer_shapes(message, check_type=False, strict_mode=False, data_prop=True)


def types(graph: onnx.GraphProto) -> dict[str, onnx.TypeProto]:
    """Types of the values of a graph that tells any, by name, without those of bodies."""
    return {info.name: info.type for info in (*graph.value_info, *graph.input, *graph.output)}


def _message(model: ir.Model) -> onnx.ModelProto:
    """The model as a message in which big tensors have shapes and no numbers."""
    big = {
        value: value.const_value
        for value in model.graph.initializers.values()
        if value.const_value is not None and value.const_value.nbytes >= APART
    }
    try:
        for value, tensor in big.items():
            value.const_value = reference(tensor, str(value.name))
        return ir.to_proto(model)
    finally:
        for value, tensor in big.items():
            value.const_value = tensor


def _pairs(graph: ir.Graph, message: onnx.GraphProto) -> Iterator[tuple[ir.Graph, onnx.GraphProto]]:
    """A graph and every body within, each with its message."""
    pending = [(graph, message)]
    while pending:
        graph, message = pending.pop()
        yield graph, message
        for node, told in zip(graph, message.node, strict=True):
            pending.extend(zip(bodies(node), bodies_of([told]), strict=True))
