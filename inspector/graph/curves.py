"""Activations written in several nodes, recognised by what they compute.

Elementwise nodes between one value and one other, with nothing but numbers beside, are a function of one number. It is
evaluated on a grid with the ONNX reference implementation and compared with the closed forms of known activations: so
an activation has its name whatever operators, constants and order an exporter chose.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import onnx_ir as ir

from inspector.contract import Array, Zeros
from inspector.graph import closed_forms
from inspector.graph.activations import Activation, meaning
from inspector.graph.constants import STANDARD, Constants, run_node

_ELEMENTWISE: Final = frozenset(
    {
        "Abs",
        "Add",
        "And",
        "Cast",
        "Clip",
        "Div",
        "Elu",
        "Equal",
        "Erf",
        "Exp",
        "Greater",
        "GreaterOrEqual",
        "HardSigmoid",
        "Identity",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "Max",
        "Min",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "Pow",
        "Reciprocal",
        "Relu",
        "Sigmoid",
        "Sign",
        "Softplus",
        "Sqrt",
        "Sub",
        "Sum",
        "Tanh",
        "ThresholdedRelu",
        "Where",
    }
)
_FLOATS: Final = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)
_ENDS: Final = frozenset({"Min", "Max", "Mul", "Div", "Log"})
"""Operators that some exporters put last: the bound of ReLU6, the factor of SELU, the logarithm of log sigmoid."""
_METADATA: Final = frozenset({"Shape", "Size"})
"""They read how large a value is, and nothing of what it holds."""
_MAX_NODES: Final = 24
"""Nodes a decomposed activation can have; the longest known, Mish with a guarded Softplus, has 12."""
_MAX_READERS: Final = 32
"""Nodes that read one value of it; GELU by tanh has four."""
_MAX_EVALUATIONS: Final = 8192
"""Different nodes that are evaluated for one model, some seconds' work; what exporters write has a few dozen."""
_MAX_NUMBERS: Final = 1 << 16
"""Elements of a constant that may be one number all over."""


def consumers(value: ir.Value) -> list[ir.Node]:
    """The nodes that read what the value holds, each once."""
    readers = [use.node for use in value.uses() if use.node.op_type not in _METADATA]
    return readers if len(readers) < 2 else list(dict.fromkeys(readers))


@dataclass(frozen=True)
class Curve:
    """A function of one number: which one, counted through the model, and its values on the grid."""

    index: int
    values: Array

    @cached_property
    def name(self) -> str | None:
        """The name of the activation that it is."""
        return closed_forms.name(self.values)

    @cached_property
    def zeros(self) -> Zeros:
        """What a zero of it means."""
        return meaning(exact=closed_forms.gives_zeros(self.values))


class Curves:
    """The decomposed activations of one model. Equal arithmetic is evaluated once."""

    def __init__(self, constants: Constants) -> None:
        self.constants = constants
        self._known: dict[tuple[object, ...], Curve | None] = {}

    def region(self, value: ir.Value, channels: int, rank: int) -> dict[ir.Node, list[ir.Value | float | None]]:
        """Nodes that compute from `value`, (N, channels, *space), and numbers alone: in order, with their operands."""
        nodes: dict[ir.Node, list[ir.Value | float | None]] = {}
        home = value.producer()
        graph = None if home is None else home.graph
        inside = {value: None}
        queue = deque([value])
        while queue and len(nodes) < _MAX_NODES:
            for node in consumers(queue.popleft())[:_MAX_READERS]:
                elsewhere = node in nodes or node.graph is not graph
                operands = None if elsewhere else self._operands(inside, node, channels, rank)
                if operands is not None:
                    nodes[node] = operands
                    inside[node.outputs[0]] = None
                    queue.append(node.outputs[0])
        return nodes

    def activation(
        self, value: ir.Value, region: Mapping[ir.Node, Sequence[ir.Value | float | None]]
    ) -> Activation | None:
        """The first activation that everything in the region of `value` goes through."""
        found: Activation | None = None
        curves = {value: Curve(0, closed_forms.GRID)}
        done: set[ir.Node] = set()
        for node, operands in region.items():
            curve = self._evaluate(node, [curves[o] if isinstance(o, ir.Value) else o for o in operands])
            if curve is None:
                break
            done.add(node)
            curves[node.outputs[0]] = curve
            if not _is_closed(value, node.outputs[0], curves, done, region):
                continue
            clamped = node.op_type in ("Min", "Max")  # a factor or a logarithm could make a bound out of a bound
            if curve.name and (found is None or clamped or curve.name in closed_forms.FIXED):
                found = Activation(node.outputs[0], curve.name, curve.zeros)
            if found and not goes_on(node.outputs[0]):
                break
        return found

    def _operands(
        self, inside: Container[ir.Value], node: ir.Node, channels: int, rank: int
    ) -> list[ir.Value | float | None] | None:
        """What the node computes with: values of the region, and numbers. None where there is anything else."""
        if node.op_type not in _ELEMENTWISE or node.domain not in STANDARD or len(node.outputs) != 1:
            return None
        operands: list[ir.Value | float | None] = []
        for value in node.inputs:
            number = None if value is None or value in inside else self._number(value, channels, rank)
            if value is not None and value not in inside and number is None:
                return None
            operands.append(value if number is None else number)
        return operands

    def _number(self, value: ir.Value, channels: int, rank: int) -> float | None:
        """A constant that is one number, and leaves the shape of what it meets as it is."""
        array = self.constants(value)
        if array is None or not 0 < array.size <= _MAX_NUMBERS or array.ndim > rank or array.dtype.kind not in "fiub":
            return None
        shape = (1,) * (rank - array.ndim) + array.shape
        if any(d != 1 for axis, d in enumerate(shape) if axis != 1) or shape[1] not in (1, channels):
            return None
        return float(array.flat[0]) if (array == array.flat[0]).all() else None

    def _evaluate(self, node: ir.Node, operands: Sequence[Curve | float | None]) -> Curve | None:
        """What the node makes of its operands; None where it cannot be evaluated."""
        attributes = tuple(f"{a.name}={a.value}" for a in node.attributes.values())
        key = (node.op_type, attributes, *((o.index,) if isinstance(o, Curve) else o for o in operands))
        if key not in self._known and len(self._known) < _MAX_EVALUATIONS:
            values = _compute(node, [o.values if isinstance(o, Curve) else _scalar(o) for o in operands])
            self._known[key] = None if values is None else Curve(len(self._known) + 1, values)
        return self._known.get(key)


def goes_on(value: ir.Value) -> bool:
    """True where what alone reads the value may be the end of the same activation: `Min(Relu(x), 6)`."""
    readers = consumers(value)
    return len(readers) == 1 and readers[0].op_type in _ENDS and not value.is_graph_output()


def _is_closed(
    start: ir.Value,
    last: ir.Value,
    values: Iterable[ir.Value],
    done: Container[ir.Node],
    region: Container[ir.Node],
) -> bool:
    """True where everything in the region that is not computed yet is computed from `last` alone.

    What reads `start` outside of the region reads the linear value, and that is another matter.
    """
    for value in values:
        if value is last:
            continue
        waiting = [n for n in consumers(value) if n not in done]
        if any(n in region for n in waiting) if value is start else waiting or value.is_graph_output():
            return False
    return True


def _scalar(operand: float | None) -> Array | None:
    return None if operand is None else np.array(operand)


def _compute(node: ir.Node, operands: Sequence[Array | None]) -> Array | None:
    if node.op_type == "Cast":
        kind = node.attributes["to"].value if "to" in node.attributes else None
        if operands[0] is None or kind not in (*_FLOATS, ir.DataType.BOOL):
            return None
        return operands[0].astype(np.bool_ if kind == ir.DataType.BOOL else np.float64)
    with np.errstate(all="ignore"):
        results = run_node(node, operands)
    fits = results is not None and results[0].shape == closed_forms.GRID.shape and results[0].dtype.kind in "fb"
    return results[0] if results is not None and fits else None
