"""Big tensors beside the message: taken out of one that was read, put back into a graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

import numpy as np
import onnx
import onnx_ir as ir

from inspector.contract import Array

APART: Final = 1024
"""Bytes from which a tensor of the main graph is kept apart."""
_MOST_AXES: Final = 16
_PLAIN: Final[Mapping[int, tuple[ir.DataType, np.dtype[np.generic]]]] = {
    int(ir.DataType[name]): (ir.DataType[name], ir.DataType[name].numpy())
    for name in ("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16", "INT8", "UINT8", "INT16", "UINT16")
}
"""Element types of weights: whole bytes of which every pattern is a value. Tensors of others stay in the message;
those of int32 and int64 can be targets and indices, which runtimes read while they infer shapes."""


def goes_apart(dtype: ir.DataType, size: int) -> bool:
    """Whether an initializer of the main graph, of so many bytes, is kept apart."""
    return dtype in _PLAIN and size >= APART


def detach(proto: onnx.ModelProto, numbers: Mapping[int, Array]) -> dict[str, ir.Tensor[Array]]:
    """Tensors by name, of raw bytes by place among the graph's initializers, which become empty ones.

    Where bytes and tensor do not fit each other, or the tensor is of an unusual kind, the bytes go back into the
    message, where the checks see them.
    """
    tensors: dict[str, ir.Tensor[Array]] = {}
    shape_of = cache(lambda dims: ir.Shape(dims, frozen=True))  # most tensors share their shape with others
    for place, raw in numbers.items():
        field = proto.graph.initializer[place]
        tensor = _tensor(field, raw, shape_of)
        if tensor is None or field.name in tensors:
            field.raw_data = raw.tobytes()
            continue
        tensors[field.name] = tensor
        field.ClearField("raw_data")
        field.dims[:] = [0]
    return tensors


def attach(model: ir.Model, tensors: Mapping[str, ir.Tensor[Array]]) -> None:
    """Gives the initializers of these names their numbers and shapes."""
    for name, tensor in tensors.items():
        value = model.graph.initializers[name]
        value.const_value = tensor
        if not value.is_graph_input():
            value.shape = tensor.shape


def declare(proto: onnx.ModelProto, tensors: Mapping[str, ir.Tensor[Array]]) -> None:
    """Gives the empty initializers of these names their shapes back; their numbers stay apart."""
    for field in proto.graph.initializer:
        if field.name in tensors:
            field.dims[:] = tensors[field.name].shape.numpy()


def _tensor(
    field: onnx.TensorProto, raw: Array, shape_of: Callable[[tuple[int, ...]], ir.Shape]
) -> ir.Tensor[Array] | None:
    """A view of the bytes; None where they stay in the message."""
    inside = field.data_location == onnx.TensorProto.DEFAULT and not field.HasField("segment")
    if not field.name or not inside or field.data_type not in _PLAIN or _has_numbers(field):
        return None
    dtype, elements = _PLAIN[field.data_type]
    dims = tuple(field.dims[:])
    if len(dims) > _MOST_AXES or min(dims, default=0) < 0 or math.prod(dims) * elements.itemsize != raw.size:
        return None
    return ir.Tensor(raw.view(elements).reshape(dims), dtype, shape=shape_of(dims), name=field.name)


def _has_numbers(field: onnx.TensorProto) -> bool:
    """Whether there are some beside the raw bytes."""
    floats = field.float_data or field.double_data
    return bool(floats or field.int32_data or field.int64_data or field.uint64_data or field.string_data)
