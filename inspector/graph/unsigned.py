"""Weights of int8 beside data of uint8, written as uint8: the same numbers, added up without overflow.

On x86 processors without VNNI, onnxruntime adds such products up in pairs, in 16 bits, and what does not fit is cut off
without a word. It knows a way around it, for which its optimiser has to run, and has to be asked (see
`inspector.runtime.session`). A weight q with the zero point z is q + 128 with z + 128 as well; products of unsigned
numbers are added up in 32 bits everywhere. `ConvInteger` was not off, and `DequantizeLinear` computes in float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import onnx
import onnx.numpy_helper
import onnx_ir as ir

from inspector.contract import Array
from inspector.graph.constants import STANDARD
from inspector.graph.convolutions import MICROSOFT
from inspector.graph.ops import PREFIX, Lowering
from inspector.graph.shapes import Kinds
from inspector.graph.writing import add_tensor


class _Inputs(NamedTuple):
    """Which inputs of an operator hold what: its weight, that one's zero point, and what has the type of its data."""

    weight: int
    zero: int
    data: tuple[int, ...]


_OPERATORS: Final[Mapping[tuple[str, str], _Inputs]] = {
    ("", "QLinearConv"): _Inputs(3, 5, data=(0, 2)),
    ("", "QLinearMatMul"): _Inputs(3, 5, data=(0, 2)),
    ("", "MatMulInteger"): _Inputs(1, 3, data=(0, 2)),
    (MICROSOFT, "QLinearConv"): _Inputs(3, 5, data=(0, 2)),
    (MICROSOFT, "QGemm"): _Inputs(3, 5, data=(0, 2)),
    (MICROSOFT, "MatMulIntegerToFloat"): _Inputs(1, 5, data=(0, 4)),
    (MICROSOFT, "DynamicQuantizeMatMul"): _Inputs(1, 3, data=(0,)),
}
_UNSIGNED: Final = (ir.DataType.UINT8, ir.DataType.FLOAT)
"""Types of data: the last operator quantises float32 to uint8 by itself."""
_SHIFT: Final = 128


def write_unsigned(
    graphs: Sequence[onnx.GraphProto], opset: int, kinds: Kinds, weights: Mapping[str, Array]
) -> dict[str, Array]:
    """Changes every such node of the graphs, in place: what it gives is what its definition says.

    Args:
        graphs: the main graph and all bodies; names are unique over all of them.
        opset: the model's.
        kinds: types of values, as far as they are known.
        weights: numbers of the tensors that the graphs only name.

    Returns:
        Numbers of the new ones among these.
    """
    nodes = [[(at, node, form) for at, node in enumerate(g.node) if (form := _form(node))] for g in graphs]
    if not any(nodes):
        return {}
    stored = {tensor.name: tensor for graph in graphs for tensor in graph.initializer}
    shifted = _Shifted(graphs[0], stored, weights)

    def kind(node: onnx.NodeProto, at: int) -> int:
        name = node.input[at] if at < len(node.input) else ""
        if name in stored:
            return stored[name].data_type
        return kinds[name].tensor_type.elem_type if name in kinds else 0

    for number, (graph, candidates) in enumerate(zip(graphs, nodes, strict=True)):
        found = [
            (at, node, form)
            for at, node, form in candidates
            if kind(node, form.weight) == ir.DataType.INT8 and any(kind(node, i) in _UNSIGNED for i in form.data)
        ]
        _write(graph, found, shifted, Lowering(graph, opset, f"unsigned/{number}/"))
    return shifted.weights


def _form(node: onnx.NodeProto) -> _Inputs | None:
    return _OPERATORS.get(("" if node.domain in STANDARD else node.domain, node.op_type))


def _write(
    graph: onnx.GraphProto, found: list[tuple[int, onnx.NodeProto, _Inputs]], shifted: _Shifted, to: Lowering
) -> None:
    """The new nodes go before the one that reads them."""
    order: list[float] = [*range(len(graph.node))]
    for at, node, form in found:
        node.input.extend([""] * (form.zero + 1 - len(node.input)))
        for read in (form.weight, form.zero):
            node.input[read] = shifted(node.input[read], to)
        order += [at - 0.5] * (len(graph.node) - len(order))
    place = iter(order)
    graph.node.sort(key=lambda _: next(place))


class _Shifted:
    """Values of int8, each made one of uint8 once: stored numbers here, where they were stored, others by nodes."""

    def __init__(
        self, main: onnx.GraphProto, stored: Mapping[str, onnx.TensorProto], weights: Mapping[str, Array]
    ) -> None:
        self._main, self._stored, self._given = main, stored, weights
        self._new: dict[str, str] = {}
        self.weights: dict[str, Array] = {}

    def __call__(self, name: str, to: Lowering) -> str:
        if not name:
            return to.constant("uint8", _SHIFT, scalar=True)
        if name not in self._stored:
            raised = to.node("Add", [to.cast(name, ir.DataType.INT32), to.constant("int32", _SHIFT, scalar=True)])
            return to.cast(raised, ir.DataType.UINT8)
        if name not in self._new:
            self._new[name] = f"{PREFIX}unsigned/{name}"
            self._store(name, self._new[name])
        return self._new[name]

    def _store(self, name: str, new: str) -> None:
        if name not in self._given:
            add_tensor(self._main, new, _raised(onnx.numpy_helper.to_array(self._stored[name])))
            return
        self.weights[new] = _raised(self._given[name])
        self._main.initializer.add().CopyFrom(self._stored[name])
        self._main.initializer[-1].name, self._main.initializer[-1].data_type = new, int(ir.DataType.UINT8)


def _raised(numbers: Array) -> Array:
    return np.bitwise_xor(numbers.view(np.uint8), np.uint8(_SHIFT))  # q + 128, without a wider type on the way
