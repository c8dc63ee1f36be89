"""Normalisations, in one node or as exporters take them apart: what leaves every channel where it was.

PyTorch's GroupNorm becomes Reshape, InstanceNormalization, Reshape; a LayerNorm over channels stands between two
Transposes, or is written out with the mean, its difference and the root of the mean square.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from inspector.graph.activations.regions import consumers
from inspector.graph.constants import STANDARD, Constants
from inspector.graph.layout import Layout

NORMS: Final = frozenset(
    {
        "BatchNormalization",
        "InstanceNormalization",
        "GroupNormalization",
        "LayerNormalization",
        "RMSNormalization",
        "MeanVarianceNormalization",
        "LpNormalization",
        "LRN",
    }
)
"""Operators that normalise; a Softmax makes shares, which is something else."""

OPENING: Final = NORMS | {"Reshape", "Transpose", "ReduceMean"}
"""Operators of which one is the first of every normalisation."""
_MAX_NODES: Final = 12
"""Nodes between two views: what is written out has seven, a scale and a shift."""


@dataclass(frozen=True, slots=True)
class Normalised:
    """What a normalisation gives, and its nodes in order."""

    value: ir.Value
    nodes: tuple[ir.Node, ...]


def normalised(value: ir.Value, channels: int, layout: Layout, constants: Constants) -> Normalised | None:
    """The normalisation that all of `value`, which lies so, goes through next."""
    return _core(value) or _wrapped(value, channels, layout, constants)


def _core(value: ir.Value) -> Normalised | None:
    node = _only(value)
    if node is not None and node.op_type in NORMS and node.inputs[0] is value:
        return Normalised(node.outputs[0], (node,))
    return _written_out(value)


def _wrapped(value: ir.Value, channels: int, layout: Layout, constants: Constants) -> Normalised | None:
    """A normalisation of a view of the value, and the view taken back."""
    opening = _only(value)
    if opening is None or opening.op_type not in ("Reshape", "Transpose") or opening.inputs[0] is not value:
        return None
    core = _core(opening.outputs[0])
    nodes = [opening, *core.nodes] if core is not None else []
    current = None if core is None else core.value
    while current is not None:
        node = _only(current)
        if node is not None and node.op_type == opening.op_type and node.inputs[0] is current:
            undone = (
                _is_inverse(opening, node, layout.rank)
                if node.op_type == "Transpose"
                else _is_shaped_like(node, value, channels, layout, constants)
            )
            return Normalised(node.outputs[0], (*nodes, node)) if undone else None
        if node is None or len(nodes) > _MAX_NODES or not _is_scale(node, constants):
            return None
        nodes.append(node)
        current = node.outputs[0]
    return None


def _is_scale(node: ir.Node, constants: Constants) -> bool:
    """A scale or shift before the view is taken back."""
    return node.op_type in ("Mul", "Add") and any(constants.is_constant(i) for i in node.inputs)


def _is_inverse(opening: ir.Node, closing: ir.Node, rank: int) -> bool:
    """True where the second Transpose undoes the first."""
    first, second = _permutation(opening), _permutation(closing)
    return len(first) == len(second) == rank and [first[k] for k in second] == list(range(rank))


def _is_shaped_like(node: ir.Node, value: ir.Value, channels: int, layout: Layout, constants: Constants) -> bool:
    """True where a Reshape, which keeps the order of all elements, gives every one its channel back."""
    target = node.inputs[1] if len(node.inputs) > 1 else None
    source = None if target is None else target.producer()
    if source is not None and source.op_type == "Shape" and not source.attributes:
        return source.inputs[0] is value
    sizes = constants(target)
    if sizes is not None:
        return sizes.shape == (layout.rank,) and int(sizes[layout.axis]) == channels
    shape = node.outputs[0].shape
    return shape is not None and len(shape) == layout.rank and shape[layout.axis] == channels


def _permutation(node: ir.Node) -> list[int]:
    return list(node.attributes["perm"].as_ints()) if "perm" in node.attributes else []


def _written_out(value: ir.Value) -> Normalised | None:
    """(x - mean) / root(mean((x - mean)²) + eps), and x times the reciprocal root."""
    mean, centre = _of(value, "ReduceMean"), _of(value, "Sub")
    if len(consumers(value)) != 2 or mean is None or centre is None:
        return None
    centred = centre.outputs[0]
    square = next((n for n in consumers(centred) if n.op_type == "Pow" or list(n.inputs) == [centred, centred]), None)
    nodes = [mean, centre, square]
    for operator in ("ReduceMean", "Add", "Sqrt"):
        nodes.append(None if nodes[-1] is None else _of(nodes[-1].outputs[0], operator))
    root = nodes[-1]
    inverse = None if root is None else _of(root.outputs[0], "Reciprocal")
    nodes += [inverse] * (inverse is not None)
    divisor = inverse or root
    last = None if divisor is None else _only(divisor.outputs[0])
    found = [n for n in [*nodes, last] if n is not None]
    whole = (
        square is not None
        and square.op_type in ("Pow", "Mul")
        and last is not None
        and divisor is not None
        and len(found) == len(nodes) + 1
        and last.op_type == ("Div" if inverse is None else "Mul")
        and list(centre.inputs) == [value, mean.outputs[0]]
        and list(last.inputs) == [centred, divisor.outputs[0]]
        and set(consumers(centred)) == {square, last}
    )
    return Normalised(found[-1].outputs[0], tuple(found)) if whole else None


def _of(value: ir.Value, operator: str) -> ir.Node | None:
    """The one reader of that operator."""
    found = [n for n in consumers(value) if n.op_type == operator and n.domain in STANDARD]
    return found[0] if len(found) == 1 else None


def _only(value: ir.Value) -> ir.Node | None:
    """The one node that reads the value, if it is of a standard operator and in the same graph."""
    readers, home = consumers(value), value.producer()
    if len(readers) != 1 or home is None or readers[0].graph is not home.graph:
        return None
    return readers[0] if readers[0].domain in STANDARD else None
