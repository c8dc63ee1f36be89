"""Shapes of all values of a graph, by the inference of onnx, which works on messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx
import onnx_ir as ir

from inspector.graph.bodies import bodies
from inspector.graph.contents import Holding, bodies_of, graphs
from inspector.graph.guarded import guarded

Kinds = Mapping[str, onnx.TypeProto]
"""Types of values by name, which are unique over all bodies."""


def infer(model: ir.Model, message: onnx.ModelProto, held: Holding) -> Kinds | None:
    """Adds the shapes and types that follow from those of the inputs; where inference fails, everything stays.

    Args:
        model: changed in place; of IR version 4 or newer.
        message: what the model was just made of, with a shape for every initializer. Outputs lose theirs.
        held: what its graph holds.

    Returns:
        All types that are known then; None where inference failed.
    """
    for body in (message.graph, *held.bodies):
        forget_outputs(body)
    try:
        found = infer_message(message)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return None  # shapes may be unknown everywhere
    known: dict[bytes, tuple[ir.Shape | None, ir.TypeProtocol | None]] = {}
    everything: dict[str, onnx.TypeProto] = {}
    for graph, told in _pairs(model.graph, found.graph) if held.bodies else [(model.graph, found.graph)]:
        kinds = types(told)
        everything.update(kinds)
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
            value.shape = _joined(value.shape, shape)
            value.type = value.type if dtype is None else dtype
    return everything


def forget_outputs(graph: onnx.GraphProto) -> None:
    """Takes away the shapes that a graph declares for what it gives out: a file may have them wrong.

    What it is given, or holds, and gives out again keeps its own.
    """
    names = {output.name for output in graph.output}
    given = {value.name: value.type for value in graph.input if value.name in names}
    held = {tensor.name: tensor for tensor in graph.initializer if tensor.name in names}
    for output in graph.output:
        if output.name in given:
            output.type.CopyFrom(given[output.name])
        elif output.type.HasField("tensor_type"):
            output.type.tensor_type.ClearField("shape")
            if output.name in held:
                dims = [onnx.TensorShapeProto.Dimension(dim_value=size) for size in held[output.name].dims]
                output.type.tensor_type.shape.dim.extend(dims)


def fix_shapes(message: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Gives inputs these shapes, but for the batch axis, in place; True where they had others."""
    changed = False
    for value in message.graph.input:
        dims = value.type.tensor_type.shape.dim
        fed = shapes.get(value.name)
        if fed is not None and dims and tuple(d.dim_value for d in dims[1:]) != fed:
            del dims[1:]
            dims.extend(onnx.TensorShapeProto.Dimension(dim_value=size) for size in fed)
            changed = True
    return changed


def infer_message(message: onnx.ModelProto) -> onnx.ModelProto:
    """A message with the types of all values that onnx can tell, contents of small tensors taken into account.

    Its nodes may be others than those of the one given: see `inspector.graph.guarded`.

    Raises:
        InferenceError: the message is beyond what inference can read; single nodes never raise.
    """
    with guarded(message):
        return onnx.shape_inference.infer_shapes(message, check_type=False, strict_mode=False, data_prop=True)


def inferred(message: onnx.ModelProto) -> Kinds:
    """Types of all values that onnx can tell, in bodies too; none where inference fails."""
    try:
        return _all_types(infer_message(message))
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return {}


def dims_of(kind: onnx.TypeProto | None) -> tuple[int | None, ...] | None:
    """Dimensions of a tensor, None for those that are free; None where not even their number is known."""
    if kind is None or not kind.tensor_type.HasField("shape"):
        return None
    return tuple(d.dim_value or (0 if d.HasField("dim_value") else None) for d in kind.tensor_type.shape.dim)


def types(graph: onnx.GraphProto) -> dict[str, onnx.TypeProto]:
    """Types of the values of a graph that tells any, by name, without those of bodies."""
    return {info.name: info.type for info in graph.value_info[:] + graph.input[:] + graph.output[:]}


def _joined(declared: ir.Shape | None, found: ir.Shape | None) -> ir.Shape | None:
    """What was found, with declared names and sizes where that leaves a dimension open."""
    if declared is None or found is None or len(declared) != len(found):
        return declared if found is None else found
    return ir.Shape([there if isinstance(there, int) else said for said, there in zip(declared, found, strict=True)])


def _all_types(message: onnx.ModelProto) -> Kinds:
    return {name: kind for graph in graphs(message) for name, kind in types(graph).items()}


def _pairs(graph: ir.Graph, message: onnx.GraphProto) -> Iterator[tuple[ir.Graph, onnx.GraphProto]]:
    """A graph and every body within, each with its message."""
    pending = [(graph, message)]
    while pending:
        graph, message = pending.pop()
        yield graph, message
        for node, told in zip(graph, message.node, strict=True):
            if inner := bodies(node):
                pending.extend(zip(inner, bodies_of([told]), strict=True))
