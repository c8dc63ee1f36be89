"""Nodes, tensors and outputs put into a message: all that a rewrite is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import onnx
import onnx_ir as ir

from inspector.contract import Array

PREFIX: Final = "inspector/"
"""Every name that a rewrite adds begins so."""
Attribute = int | float | Sequence[int] | onnx.TensorProto
"""What an attribute of an added node can be."""
_Kind = onnx.AttributeProto


def add_node(
    graph: onnx.GraphProto,
    op: str,
    inputs: Sequence[str],
    output: str,
    *,
    name: str,
    attributes: Mapping[str, Attribute] | None = None,
    domain: str = "",
) -> None:
    """Appends a node with one output."""
    node = graph.node.add(op_type=op, input=inputs, output=[output], name=name, domain=domain)
    for key, value in (attributes or {}).items():
        if isinstance(value, int):
            node.attribute.add(name=key, type=_Kind.INT, i=value)
        elif isinstance(value, float):
            node.attribute.add(name=key, type=_Kind.FLOAT, f=value)
        elif isinstance(value, Sequence):
            node.attribute.add(name=key, type=_Kind.INTS, ints=value)
        else:
            node.attribute.add(name=key, type=_Kind.TENSOR, t=value)


def add_tensor(graph: onnx.GraphProto, name: str, array: Array) -> None:
    """Registers an initializer."""
    dtype = ir.DataType.from_numpy(array.dtype)
    graph.initializer.add(name=name, data_type=int(dtype), dims=array.shape, raw_data=array.tobytes())


def add_output(graph: onnx.GraphProto, name: str, dtype: ir.DataType | None = None) -> None:
    """Gives a value out; what is not told of its type is for the runtime to find."""
    output = graph.output.add(name=name)
    if dtype is not None:
        output.type.tensor_type.elem_type = int(dtype)
