"""BatchNormalization in training mode, written as what it computes.

It normalises by the mean and the variance of what it reads, and gives out running averages of them. onnxruntime writes
these over the averages that it was given, which may be weights: its optimiser lets equal ones be one, so that other
nodes find their numbers changed, in every run a little more. So in the rewritten model the two statistics are computed
by nodes of their own, the normalisation is an ordinary one, and nothing is overwritten.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import onnx
import onnx_ir as ir

from inspector.graph.constants import STANDARD
from inspector.graph.rewriting.ops import NARROW, Lowering
from inspector.graph.shapes import Kinds
from inspector.graph.writing import add_node

_MOMENTUM: Final = 0.9


def write_out_statistics(graphs: Iterable[onnx.GraphProto], opset: int, kinds: Kinds) -> None:
    """Changes every such node of the graphs, in place; their values keep their names."""
    for number, graph in enumerate(graphs):
        found = [(at, node) for at, node in enumerate(graph.node) if _trains(node)]
        if found:
            _write_out(graph, found, _Writer(Lowering(graph, opset, f"statistics/{number}/"), graph, kinds))


def _trains(node: onnx.NodeProto) -> bool:
    """Before opset 14 there is no such attribute, and onnxruntime normalises by the averages that it is given."""
    if node.op_type != "BatchNormalization" or node.domain not in STANDARD or len(node.input) < 5:
        return False
    return any(a.name == "training_mode" and a.i for a in node.attribute)


def _write_out(graph: onnx.GraphProto, found: list[tuple[int, onnx.NodeProto]], writer: _Writer) -> None:
    """The new nodes go where what they belong to stands: what it reads before it, what it gives behind it."""
    order: list[float] = [*range(len(graph.node))]
    for at, node in found:
        mean, variance = writer.statistics(node)
        order += [at - 0.5] * (len(graph.node) - len(order))
        writer.averages(node, mean, variance)
        order += [at + 0.5] * (len(graph.node) - len(order))
        node.input[3], node.input[4] = mean, variance
        del node.output[1:]
        kept = [a for a in node.attribute if a.name not in ("training_mode", "momentum")]
        del node.attribute[:]
        node.attribute.extend(kept)
    place = iter(order)
    graph.node.sort(key=lambda _: next(place))


class _Writer:
    """Writes the statistics of one graph's nodes."""

    def __init__(self, to: Lowering, graph: onnx.GraphProto, kinds: Kinds) -> None:
        self._to, self._graph, self._kinds = to, graph, kinds
        self._stored = {tensor.name: tensor.data_type for tensor in graph.initializer}

    def statistics(self, node: onnx.NodeProto) -> tuple[str, str]:
        """Mean and variance of what it reads, (C,) each, in float32 where that has 16 bits."""
        to, read, given = self._to, self._kind(node.input[0]), self._kind(node.input[3])
        narrow = read in NARROW
        maps = to.node("Reshape", [node.input[0], to.constant("int64", 0, 0, -1)])  # (N, C, everything else)
        maps = to.cast(maps, ir.DataType.FLOAT) if narrow else maps
        mean = to.reduce("ReduceMean", maps, [0, 2])
        centred = to.node("Sub", [maps, to.node("Reshape", [mean, to.constant("int64", -1, 1)])])
        variance = to.reduce("ReduceMean", to.node("Mul", [centred, centred]), [0, 2])
        computed = ir.DataType.FLOAT if narrow else read
        if given is None or given == computed:
            return mean, variance
        return to.cast(mean, given), to.cast(variance, given)

    def averages(self, node: onnx.NodeProto, mean: str, variance: str) -> None:
        """The running averages, where they have a name: momentum * before + (1 - momentum) * now."""
        momentum = next((a.f for a in node.attribute if a.name == "momentum"), _MOMENTUM)
        for before, now, output in zip(node.input[3:5], (mean, variance), node.output[1:3], strict=False):
            if output:
                kind = self._kind(before) or ir.DataType.FLOAT
                parts = [self._times(before, momentum, kind), self._times(now, 1 - momentum, kind)]
                add_node(self._graph, "Add", parts, output, name=self._to.name("Add"))

    def _times(self, value: str, number: float, kind: ir.DataType) -> str:
        factor = self._to.constant("float32", number, scalar=True)
        return self._to.node("Mul", [value, factor if kind == ir.DataType.FLOAT else self._to.cast(factor, kind)])

    def _kind(self, name: str) -> ir.DataType | None:
        known = self._kinds.get(name)
        number = self._stored.get(name) or (known.tensor_type.elem_type if known is not None else 0)
        return ir.DataType(number) if number else None
