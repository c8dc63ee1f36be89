"""What onnx's inference ends the process for: a Slice of a map whose size it has worked out to be below 0.

A window that is larger than a map makes such sizes, and a Slice of it fails an assertion in C++. So while sizes are
inferred, every Slice is a twin of it, of a domain of our own, that has a look at the sizes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Final

import onnx

from inspector.graph.contents import graphs

_DOMAIN: Final = "inspector.guarded"
_OP: Final = "Slice"
_STANDARD: Final = ("", "ai.onnx")
_READ_AS: Final = {10: 11}
"""Versions that are inferred as another: that of 10 leaves a free axis its name, whatever is cut of it."""


@contextmanager
def guarded(message: onnx.ModelProto) -> Iterator[None]:
    """Has the message hold the twins while the block runs."""
    slices = [
        (node, node.domain)
        for graph in graphs(message)
        for node in graph.node
        if node.op_type == _OP and node.domain in _STANDARD
    ]
    if not slices:
        yield
        return
    _register()
    opset = next((o.version for o in message.opset_import if o.domain in _STANDARD), 1)
    message.opset_import.add(domain=_DOMAIN, version=opset)
    try:
        for node, _ in slices:
            node.domain = _DOMAIN
        yield
    finally:
        for node, domain in slices:
            node.domain = domain
        del message.opset_import[-1]


@cache
def _register() -> None:
    """Tells onnx of the twins, one for each version of the operator."""
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.name == _OP and schema.domain in _STANDARD:
            read_as = onnx.defs.get_schema(_OP, _READ_AS.get(schema.since_version, schema.since_version))
            schema.set_type_and_shape_inference_function(_looking(read_as.get_type_and_shape_inference_function()))
            schema.domain = _DOMAIN  # type: ignore[misc]  # its stub says that it cannot be set
            onnx.defs.register_schema(schema)


def _looking(infer: Callable[[Any], None]) -> Callable[[Any], None]:
    """The same inference where no size is below 0; the element type alone elsewhere."""

    def look(context: Any) -> None:
        kind = context.get_input_type(0)
        if kind is not None and any(dim.dim_value < 0 for dim in kind.tensor_type.shape.dim):
            unknown = onnx.TypeProto()
            unknown.tensor_type.elem_type = kind.tensor_type.elem_type
            context.set_output_type(0, unknown)
        else:
            with suppress(onnx.shape_inference.InferenceError):  # as for all nodes: others are inferred all the same
                infer(context)

    return look
