"""Makes the batch dimension free where a model fixed it, so that inputs can share a run."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from inspector.contract import Array, TensorInfo
from inspector.graph.constants import STANDARD, Constants
from inspector.graph.ops import PREFIX
from inspector.graph.writing import add_tensor


def fixed_batch(inputs: tuple[TensorInfo, ...]) -> int | None:
    """The batch size that inputs fix, one or all of them; None where it is free.

    It holds for the others as well, which leave theirs free. Where inputs fix different ones, see `fixing`, it is None.
    """
    sizes = set(fixing(inputs).values())
    return sizes.pop() if len(sizes) == 1 else None


def fixing(inputs: tuple[TensorInfo, ...]) -> dict[str, int]:
    """The batch sizes of the inputs that fix theirs, by name."""
    return {i.name: i.shape[0] for i in inputs if i.shape and isinstance(i.shape[0], int)}


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
