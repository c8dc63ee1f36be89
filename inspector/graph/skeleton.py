"""What a rewrite starts from: the model's message without big tensors and without shapes that a file may have wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import onnx
import onnx_ir as ir

from inspector.contract import Array
from inspector.graph.contents import Holding
from inspector.graph.shapes import Kinds, forget_outputs, inferred

LOCATION: Final = "beside"
"""Where the message says that a big tensor is; no such file is ever opened."""


@dataclass(frozen=True, slots=True, eq=False)
class Skeleton:
    """A model to copy and change; nothing here is ever changed itself.

    Attributes:
        message: inputs keep their declared shapes, all other values have none; every name is unique, in bodies too.
        weights: numbers of the tensors that the message only names.
        kinds: types of values as they follow from the inputs' declared shapes alone; none where inference fails.
        nested: True where nodes have bodies.
    """

    message: onnx.ModelProto
    weights: Mapping[str, Array]
    kinds: Kinds
    nested: bool


def skeleton(
    model: ir.Model,
    message: onnx.ModelProto,
    held: Holding,
    tensors: Mapping[str, ir.Tensor[Array]],
    kinds: Kinds | None,
) -> Skeleton:
    """Makes one of a model that was read.

    Args:
        model: the graph that facts are read from.
        message: what it was made of, or was written as, which becomes the skeleton's.
        held: what its graph holds.
        tensors: what `message` has as empty tensors.
        kinds: types that were inferred of it; None: they still have to be.
    """
    for graph in (message.graph, *held.bodies):
        kinds = None if graph.value_info else kinds
        del graph.value_info[:]
        forget_outputs(graph)
    for field in message.graph.initializer:
        if field.name in tensors:
            _refer(field)
    for node in held.nodes:
        if node.domain:  # the standard domain has two names
            node.domain = "" if node.domain == "ai.onnx" else node.domain
    message.ir_version = model.ir_version or message.ir_version
    del message.opset_import[:]
    for domain, version in model.opset_imports.items():
        message.opset_import.add(domain=domain, version=version)
    numbers = {name: tensor.numpy() for name, tensor in tensors.items()}
    return Skeleton(message, numbers, inferred(message) if kinds is None else kinds, bool(held.bodies))


def write_again(model: ir.Model, tensors: Mapping[str, ir.Tensor[Array]]) -> onnx.ModelProto:
    """The graph as a message; of the tensors only type and shape."""
    held = model.graph.initializers
    try:
        for name, tensor in tensors.items():
            shape = ir.Shape(tensor.shape.numpy())
            held[name].const_value = ir.ExternalTensor(LOCATION, None, None, tensor.dtype, shape=shape, name=name)
        return ir.to_proto(model)
    finally:
        for name, tensor in tensors.items():
            held[name].const_value = tensor


def _refer(field: onnx.TensorProto) -> None:
    field.data_location = onnx.TensorProto.EXTERNAL
    del field.external_data[:]
    field.external_data.add(key="location", value=LOCATION)
