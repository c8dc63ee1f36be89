"""The batch dimension: who fixes it, what hangs on it, and how it is made free so that inputs can share a run."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import onnx
import onnx_ir as ir

from inspector.contract import Array, TensorInfo
from inspector.graph.constants import STANDARD, Constants
from inspector.graph.shapes import Kinds, dims_of, forget_outputs, inferred
from inspector.graph.writing import PREFIX, add_tensor


def fixed_batch(inputs: tuple[TensorInfo, ...]) -> int | None:
    """The batch size that inputs fix, one or all of them; None where it is free.

    It holds for the others as well, which leave theirs free. Where inputs fix different ones, see `fixing`, it is None.
    """
    sizes = set(fixing(inputs).values())
    return sizes.pop() if len(sizes) == 1 else None


def fixing(inputs: tuple[TensorInfo, ...]) -> dict[str, int]:
    """The batch sizes of the inputs that fix theirs, by name."""
    return {i.name: i.shape[0] for i in inputs if i.shape and isinstance(i.shape[0], int)}


class Batch:
    """How the values of a model hang on its batch.

    `kinds`: their types as inferred, without what a file declares for them.
    """

    def __init__(self, inputs: tuple[TensorInfo, ...], message: onnx.ModelProto, kinds: Kinds) -> None:
        self._first = {i.shape[0] for i in inputs if i.shape and i.shape[0] is not None}
        self._fixed, self._message, self._kinds = fixed_batch(inputs) or 1, message, kinds

    def copies(self, value: ir.Value) -> int | None:
        """Entries that axis 0 of a value has for one input; None where that is open.

        An input whose first axis divides no batch has none: then it is what the value has.
        """
        name = value.name or ""
        size = _first_axis(self._kinds.get(name)) if name in self._kinds else _declared(value)
        if size in self._first:
            return 1
        known = size if isinstance(size, int) else self._alone.get(name)
        if known is None:
            return None
        return known // self._fixed if known % self._fixed == 0 else known

    @cached_property
    def _alone(self) -> dict[str, int]:
        """Axis 0 of every value, by name, where a free batch is of one input, or as large as others fix it."""
        message = onnx.ModelProto()
        message.CopyFrom(self._message)
        fix_batch(message, self._fixed)
        forget_outputs(message.graph)
        sizes = {name: dims_of(kind) for name, kind in inferred(message).items()}
        return {name: dims[0] for name, dims in sizes.items() if dims and dims[0] is not None}


def _first_axis(kind: onnx.TypeProto | None) -> int | str | None:
    """Its size, or its name where it is free; None where nothing is known of it."""
    dims = kind.tensor_type.shape.dim if kind is not None else ()
    return (dims[0].dim_value if dims[0].HasField("dim_value") else dims[0].dim_param or None) if dims else None


def _declared(value: ir.Value) -> int | str | None:
    """The same, as a file has it."""
    dims = value.shape.dims if value.shape is not None else ()
    return (dims[0] if isinstance(dims[0], int) else dims[0].value) if dims else None


def fix_batch(message: onnx.ModelProto, batch: int) -> None:
    """Gives that size to axis 0 of every input that leaves it free, in place: only ever called on a copy."""
    weights = {tensor.name for tensor in message.graph.initializer}
    for value in message.graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name not in weights and dims and not dims[0].HasField("dim_value"):
            dims[0].dim_value = batch


def free_batch(message: onnx.ModelProto, model: ir.Model, batch: int) -> None:
    """Frees axis 0 of every input of `message`, in place: only ever called on a copy.

    A Reshape of data to a constant shape that begins with `batch` would still fix it; its first entry becomes -1
    ("whatever is left"), or 0 ("as the input has it") where -1 is taken. Whether the model then gives the same
    numbers is checked by running both, not assumed.

    Args:
        message: changed; its other values have no shapes.
        model: the graph of it, where constants are looked up.
        batch: the size that the inputs fix.
    """
    constants = Constants()
    graph = message.graph
    targets = {str(node.outputs[0].name): _fixed_target(node, batch, constants) for node in model.graph if node.outputs}
    for number, node in enumerate(graph.node):
        target = targets.get(node.output[0]) if node.output else None
        if target is not None:
            target[0] = 0 if -1 in target[1:] else -1
            node.input[1] = f"{PREFIX}free_batch_shape_{number}"
            add_tensor(graph, node.input[1], target)
    weights = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name not in weights and dims:
            dims[0].dim_param = f"{PREFIX}batch"


def _fixed_target(node: ir.Node, batch: int, constants: Constants) -> Array | None:
    """A copy of the constant target shape of a Reshape of data, when it begins with the batch size."""
    if node.op_type != "Reshape" or node.domain not in STANDARD or constants.is_constant(node.outputs[0]):
        return None
    target = constants(node.inputs[1]) if len(node.inputs) > 1 else None
    if target is None or target.ndim != 1 or not target.size or int(target[0]) != batch:
        return None
    return np.array(target, np.int64)
