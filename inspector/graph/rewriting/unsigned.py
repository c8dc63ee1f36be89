"""Weights of int8, written as uint8: the same numbers, added up without overflow.

On x86 processors without VNNI, onnxruntime adds up products of uint8 and int8 in pairs, in 16 bits, and what does not
fit is cut off without a word. A weight q with the zero point z is q + 128 with z + 128 as well; products of unsigned
numbers are added up in 32 bits everywhere.

`DequantizeLinear` itself computes in float32, but the optimiser makes operators on integers of it. What it reads is
changed whatever its data are: the optimiser has those of int8 written as uint8 itself, on such processors.
`ConvInteger` was not off.
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
from inspector.graph.rewriting.ops import Lowering
from inspector.graph.shapes import Kinds
from inspector.graph.writing import PREFIX, add_tensor


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
    ("", "DequantizeLinear"): _Inputs(0, 2, data=()),
    (MICROSOFT, "DequantizeLinear"): _Inputs(0, 2, data=()),
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
    values = _Values(graphs, kinds)
    shifted = _Shifted(graphs[0], values, weights)
    for number, (graph, candidates) in enumerate(zip(graphs, nodes, strict=True)):
        found = [(at, node, form) for at, node, form in candidates if values.overflows(node, form)]
        _write(graph, found, shifted, Lowering(graph, opset, f"unsigned/{number}/"))
    return shifted.weights


def _form(node: onnx.NodeProto) -> _Inputs | None:
    return _OPERATORS.get(("" if node.domain in STANDARD else node.domain, node.op_type))


class _Values:
    """What is known of the values of the graphs.

    Attributes:
        stored: tensors, by name; those of Constant nodes as well.
        makers: the nodes that make constants of others.
    """

    def __init__(self, graphs: Sequence[onnx.GraphProto], kinds: Kinds) -> None:
        self.stored = {tensor.name: tensor for graph in graphs for tensor in graph.initializer}
        self.makers: dict[str, onnx.NodeProto] = {}
        self._kinds = kinds
        for node in (node for graph in graphs for node in graph.node):
            self._add(node)

    def _add(self, node: onnx.NodeProto) -> None:
        if node.op_type == "Constant" and [a.name for a in node.attribute] == ["value"]:
            self.stored[node.output[0]] = node.attribute[0].t
        elif node.input and all(not name or self.is_constant(name) for name in node.input):
            self.makers |= dict.fromkeys(node.output, node)

    def is_constant(self, name: str) -> bool:
        return name in self.stored or name in self.makers

    def kind(self, node: onnx.NodeProto, at: int) -> int:
        """The element type of an input; 0 where it is not known."""
        name = node.input[at] if at < len(node.input) else ""
        if name in self.stored:
            return self.stored[name].data_type
        return self._kinds[name].tensor_type.elem_type if name in self._kinds else 0

    def overflows(self, node: onnx.NodeProto, form: _Inputs) -> bool:
        """Whether a node's products may; where nobody can tell what it is made into, whether its weight is int8."""
        if self.kind(node, form.weight) != ir.DataType.INT8:
            return False
        if form.data:
            return any(self.kind(node, at) in _UNSIGNED for at in form.data)
        return self.is_constant(node.input[form.weight])


def _write(
    graph: onnx.GraphProto, found: list[tuple[int, onnx.NodeProto, _Inputs]], shifted: _Shifted, to: Lowering
) -> None:
    """The new nodes go before the one that reads them."""
    order: list[float] = [*range(len(graph.node))]
    for at, node, form in found:
        node.input.extend([""] * (form.zero + 1 - len(node.input)))
        like = "" if form.data else node.input[1]
        node.input[form.weight] = shifted(node.input[form.weight], to)
        node.input[form.zero] = shifted.zero(node.input[form.zero], to, like=like)
        order += [at - 0.5] * (len(graph.node) - len(order))
    place = iter(order)
    graph.node.sort(key=lambda _: next(place))


class _Shifted:
    """Values of int8, each made one of uint8 once: stored numbers here, where they were stored, others by nodes."""

    def __init__(self, main: onnx.GraphProto, values: _Values, weights: Mapping[str, Array]) -> None:
        self._main, self._values, self._given = main, values, weights
        self._new: dict[str, str] = {}
        self.weights: dict[str, Array] = {}

    def __call__(self, name: str, to: Lowering) -> str:
        if name in self._values.stored:
            if name not in self._new:
                self._new[name] = f"{PREFIX}unsigned/{name}"
                self._store(name, self._new[name])
            return self._new[name]
        maker = self._values.makers.get(name)
        if maker is not None and maker.op_type == "QuantizeLinear":
            return self._quantised(maker, to)
        return self._raised(to.cast(name, ir.DataType.INT32), to)

    def zero(self, name: str, to: Lowering, *, like: str) -> str:
        """A zero point. Where there is none it is 0, in the form of the scale `like`."""
        if name:
            return self(name, to)
        if not like:
            return to.constant("uint8", _SHIFT, scalar=True)
        if like not in self._values.stored:
            wide = to.cast(like, ir.DataType.INT32)
            return self._raised(to.node("Sub", [wide, wide]), to)
        new = to.name("zero")
        add_tensor(self._main, new, np.full(tuple(self._values.stored[like].dims), _SHIFT, np.uint8))
        return new

    @staticmethod
    def _raised(wide: str, to: Lowering) -> str:
        raised = to.node("Add", [wide, to.constant("int32", _SHIFT, scalar=True)])
        return to.cast(raised, ir.DataType.UINT8)

    def _quantised(self, node: onnx.NodeProto, to: Lowering) -> str:
        """Stored real numbers, quantised on the way: as uint8 from the beginning."""
        kept = {a.name: a.i for a in node.attribute if a.name in ("axis", "block_size")}
        zero = node.input[2] if len(node.input) > 2 else ""
        inputs = [*node.input[:2], self.zero(zero, to, like=node.input[1])]
        return to.node("QuantizeLinear", inputs, domain=node.domain, **kept)

    def _store(self, name: str, new: str) -> None:
        if name not in self._given:
            add_tensor(self._main, new, _raised(onnx.numpy_helper.to_array(self._values.stored[name])))
            return
        self.weights[new] = _raised(self._given[name])
        self._main.initializer.add().CopyFrom(self._values.stored[name])
        self._main.initializer[-1].name, self._main.initializer[-1].data_type = new, int(ir.DataType.UINT8)


def _raised(numbers: Array) -> Array:
    return np.bitwise_xor(numbers.view(np.uint8), np.uint8(_SHIFT))  # q + 128, without a wider type on the way
