"""Values that do not depend on what a model is fed: weights, wherever they come from.

Of 9,336 weights in 133 exported architectures 8,506 were initializers; the others came out of ConstantOfShape,
Identity, Reshape and Constant nodes. So a constant is whatever the nodes above a value evaluate to.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

import numpy as np
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from inspector.contract import Array
from inspector.errors import LimitError, ModelError

STANDARD: Final = ("", "ai.onnx")
"""The two names of the domain whose operators are known here; a custom operator may share a name and mean another."""
MAX_ELEMENTS: Final = 1 << 29
"""Elements of all evaluated constants of a model together: 2 GiB of float32, what one file could hold at most."""

_KEEP_SIZE: Final = frozenset(
    {
        "Constant",
        "Identity",
        "Reshape",
        "Transpose",
        "Squeeze",
        "Unsqueeze",
        "Flatten",
        "Cast",
        "BatchNormalization",  # weight standardisation, as PyTorch exports it
        "Slice",
        "Split",
        "Shape",
        "Neg",
        "Abs",
        "Sqrt",
        "Reciprocal",
        "Exp",
        "Log",
        "ReduceMean",
        "ReduceSum",
        "ReduceMax",
        "ReduceMin",
        "ReduceProd",
        "ReduceL2",
        "QuantizeLinear",
        "DequantizeLinear",
    }
)
_BROADCAST: Final = frozenset({"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min"})
_QUANTIZED: Final = ("QuantizeLinear", "DequantizeLinear")
_REFERENCE_FROM: Final = dict.fromkeys(_QUANTIZED, 21) | {"BatchNormalization": 14}
"""Opset in which the reference implementation has an operator that was there, meaning the same, before.

Its older forms of the last mix statistics of what they read into those that they are given."""
_MEANS_THE_SAME: Final = frozenset({("com.microsoft", name) for name in _QUANTIZED})
"""Operators of other domains that are the standard ones, for more element types."""

_log = logging.getLogger(__name__)


class Constants:
    """Evaluates constant values of one model, each node once. Nothing that depends on an input is ever evaluated."""

    def __init__(self) -> None:
        self._known: dict[ir.Value, Array | None] = {}
        self._elements = 0

    def __call__(self, value: ir.Value | None) -> Array | None:
        """The array, or None where the value depends on an input or a random op, or cannot be evaluated here.

        Raises:
            LimitError: the constants of the model have more than `MAX_ELEMENTS` elements together.
            ModelError: the numbers of an initializer do not fit its shape.
        """
        if value is None:
            return None
        if value not in self._known:
            for pending in _upwards(value, self._known):
                self._known[pending] = self._evaluate(pending)
        return self._known[value]

    def is_constant(self, value: ir.Value | None) -> bool:
        """True where calling would give an array."""
        return self(value) is not None

    def _evaluate(self, value: ir.Value) -> Array | None:
        if value.const_value is not None:
            return _stored(value)
        node = value.producer()
        if node is None or not _is_standard(node) or (not node.inputs and node.op_type != "Constant"):
            return None
        inputs = [None if i is None else self._known[i] for i in node.inputs]
        if any(i is not None and a is None for i, a in zip(node.inputs, inputs, strict=True)):
            return None
        size = _size(node, [a for a in inputs if a is not None])
        if size is None:
            return None
        self._spend(size, value)
        if node.op_type == "Identity":
            return inputs[0]
        results = run_node(node, inputs)
        return None if results is None else results[value.index() or 0]

    def _spend(self, size: int, value: ir.Value) -> None:
        """Refuses before anything is allocated."""
        self._elements += size
        if self._elements > MAX_ELEMENTS:
            raise LimitError(
                f"constant {value.name!r}",
                "the model's computed constants are too large",
                expected=f"at most {MAX_ELEMENTS} elements together",
                found=str(self._elements),
                remedy="Store weights as initializers.",
            )


def _is_standard(node: ir.Node) -> bool:
    return node.domain in STANDARD or (node.domain, node.op_type) in _MEANS_THE_SAME


def _upwards(value: ir.Value, known: dict[ir.Value, Array | None]) -> list[ir.Value]:
    """The unknown values that `value` needs, itself included, producers first. Iterative: graphs can be deep."""
    order: list[ir.Value] = []
    seen: set[ir.Value] = set()
    stack: list[tuple[ir.Value, bool]] = [(value, False)]
    while stack:
        current, ready = stack.pop()
        if ready:
            order.append(current)
        elif current not in seen and current not in known:
            seen.add(current)
            stack.append((current, True))
            node = current.producer()
            if current.const_value is None and node is not None:
                stack.extend((i, False) for i in node.inputs if i is not None)
    return order


def _stored(value: ir.Value) -> Array:
    """The numbers of an initializer."""
    assert value.const_value is not None
    try:
        return value.const_value.numpy()
    except (ValueError, TypeError) as error:
        raise ModelError(
            f"initializer {value.name!r}",
            "its numbers cannot be read",
            expected=f"shape {tuple(value.const_value.shape)}",
            found=str(error),
        ) from error


def _size(node: ir.Node, inputs: Sequence[Array]) -> int | None:
    """Elements that evaluating a node makes at most; None where it is not evaluated here, or makes no sense."""
    if node.op_type == "Concat":
        return sum(a.size for a in inputs)
    if node.op_type == "Constant":
        return 0  # what a file holds, its size has limited
    if node.op_type in _KEEP_SIZE:
        return max((a.size for a in inputs), default=0)
    shapes = [a.shape for a in inputs]
    if node.op_type == "ConstantOfShape":
        shapes = [_shape(inputs[0])]
    elif node.op_type == "Expand":
        shapes = [inputs[0].shape, _shape(inputs[-1])]
    elif node.op_type not in _BROADCAST:
        return None
    return _broadcast_size(shapes)


def _shape(array: Array) -> tuple[int, ...]:
    return tuple(int(d) for d in array.ravel())


def _broadcast_size(shapes: Sequence[tuple[int, ...]]) -> int | None:
    """Elements of what the shapes broadcast to, however many; None where they do not."""
    size = 1
    for lengths in zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1):
        longer = {d for d in lengths if d != 1}
        if len(longer) > 1 or min(lengths) < 0:
            return None
        size *= longer.pop() if longer else 1
    return size


def run_node(node: ir.Node, inputs: Sequence[Array | None]) -> list[Array] | None:
    """One node through the ONNX reference implementation; None where that cannot do it."""
    if node.op_type == "QuantizeLinear":  # onnxruntime divides in float32, whatever it is given
        inputs = [a.astype(np.float32) if a is not None and a.dtype == np.float16 else a for a in inputs]
    feeds = {f"i{k}": a for k, a in enumerate(inputs) if a is not None}
    values = [None if a is None else ir.Value(name=f"i{k}") for k, a in enumerate(inputs)]
    copy = ir.Node("", node.op_type, values, list(node.attributes.values()), num_outputs=len(node.outputs))
    for k, output in enumerate(copy.outputs):
        output.name = f"o{k}"
    opset = node.graph.opset_imports.get("", 1) if node.graph is not None else 1
    opset = max(opset, _REFERENCE_FROM.get(node.op_type, 1))
    graph = ir.Graph([v for v in values if v is not None], copy.outputs, nodes=[copy], opset_imports={"": opset})
    try:
        proto = ir.to_proto(ir.Model(graph, ir_version=8))
        return [np.asarray(r) for r in ReferenceEvaluator(proto).run(None, feeds)]
    except MemoryError as error:
        raise LimitError(f"constant node {node.name!r}", "there is not enough memory to evaluate it") from error
    except Exception as error:  # noqa: BLE001 - what it raises on operands that do not fit is not specified
        _log.info("constant node %r of operator %s is not evaluated: %s", node.name, node.op_type, error)
        return None
