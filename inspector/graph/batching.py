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
    """The batch size that every input fixes, or None where it is free (or the inputs do not agree)."""
    sizes = {i.shape[0] if i.shape else None for i in inputs}
    size = sizes.pop() if len(sizes) == 1 else None
    return size if isinstance(size, int) else None


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
