"""Sparse tensors written out as dense ones, so that nothing behind loading has to know of them."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import onnx
import onnx_ir as ir

from inspector.contract import Array
from inspector.errors import LimitError, ModelError
from inspector.graph.constants import STANDARD
from inspector.graph.contents import Survey, sparse_of, survey_of
from inspector.graph.loading.limits import Limits
from inspector.graph.loading.weights import detach, goes_apart

_TYPES: Final = {
    int(ir.DataType[name]): ir.DataType[name]
    for name in (
        *("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16", "BOOL"),
        *("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"),
    )
}
"""Element types that are read from sparse tensors: of whole bytes, and zero where these are 0."""


def write_out(proto: onnx.ModelProto, label: str, limits: Limits) -> dict[str, ir.Tensor[Array]]:
    """Makes sparse initializers ordinary ones of the same name, and `sparse_value` of a Constant node its `value`.

    The message is changed, in place. It was checked, so that indices are sorted and lie within the shape, and its
    functions are written out, so that what they hold is counted as often as it is there. No memory is taken before all
    sizes are known.

    Returns:
        Initializers that are kept apart, as `detach` gives them.

    Raises:
        ModelError: a sparse tensor of an unusual type or in an unusual place.
        LimitError: beyond `limits`.
    """
    survey = survey_of(proto)
    _check_sizes(survey, label, limits)
    for part in (survey.main, *survey.functions):
        for node in part.nodes:
            _replace_attributes(node, label)
    for graph in survey.graphs[1:]:
        _replace_initializers(graph, apart=False)
    return detach(proto, _replace_initializers(proto.graph, apart=True))


def _check_sizes(survey: Survey, label: str, limits: Limits) -> None:
    """What is written out, and what of it stays in the message."""
    initializers = len(survey.proto.graph.sparse_initializer)
    total = copied = 0
    for place, sparse in enumerate(survey.sparse):
        dtype = _type(sparse, label)
        size = math.prod(sparse.dims) * int(dtype.itemsize)
        total += size
        copied += 0 if place < initializers and goes_apart(dtype, size) else size
    for what, size, most in (("", total, limits.sparse), (" beside its weights", copied, limits.sparse_copied)):
        if size > most:
            raise LimitError(
                label,
                f"its sparse tensors{what} are too large once they are written out",
                expected=f"at most {most} bytes together",
                found=str(size),
                remedy="Store them as dense initializers.",
            )


def _type(sparse: onnx.SparseTensorProto, label: str) -> ir.DataType:
    if sparse.values.data_type not in _TYPES:
        raise ModelError(
            f"{label}, sparse tensor {sparse.values.name[:80]!r}",
            "elements of its type are not read from sparse tensors",
            expected=", ".join(dtype.name for dtype in _TYPES.values()),
            found=onnx.TensorProto.DataType.Name(sparse.values.data_type),
        )
    return _TYPES[sparse.values.data_type]


def _replace_initializers(graph: onnx.GraphProto, *, apart: bool) -> dict[int, Array]:
    """The bytes of those that go apart, if any may, are given back by place; the others get theirs."""
    numbers: dict[int, Array] = {}
    for sparse in graph.sparse_initializer:
        raw, place = _dense(sparse), len(graph.initializer)
        graph.initializer.add(name=sparse.values.name, data_type=sparse.values.data_type, dims=sparse.dims)
        if apart and goes_apart(_TYPES[sparse.values.data_type], raw.size):
            numbers[place] = raw
        else:
            graph.initializer[place].raw_data = raw.tobytes()
    graph.ClearField("sparse_initializer")
    return numbers


def _replace_attributes(node: onnx.NodeProto, label: str) -> None:
    for attribute in node.attribute:
        for sparse in sparse_of(attribute):
            if node.domain not in STANDARD or (node.op_type, attribute.name) != ("Constant", "sparse_value"):
                raise ModelError(
                    f"{label}, node {node.name[:80]!r}",
                    "it has a sparse tensor where none is read",
                    expected="sparse tensors as initializers and in Constant nodes",
                    found=f"one in attribute {attribute.name[:80]!r} of operator {node.op_type[:80]}",
                )
            attribute.name, attribute.type = "value", onnx.AttributeProto.TENSOR
            attribute.t.data_type = sparse.values.data_type
            attribute.t.dims[:] = sparse.dims
            attribute.t.raw_data = _dense(sparse).tobytes()
            attribute.ClearField("sparse_tensor")


def _dense(sparse: onnx.SparseTensorProto) -> Array:
    """The bytes of all elements. Indices are places in the flattened tensor (NNZ,) or coordinates (NNZ, rank)."""
    shape, values = tuple(sparse.dims), ir.TensorProtoTensor(sparse.values).numpy()
    dense = np.zeros(math.prod(shape), values.dtype)
    if values.size:  # without values, indices may be missing
        indices = ir.TensorProtoTensor(sparse.indices).numpy()
        dense[np.ravel_multi_index(tuple(indices.T), shape) if indices.ndim == 2 else indices] = values
    raw = dense.view(np.uint8)
    raw.flags.writeable = False
    return raw
