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
    """(x - mean) over the root of a variance and a little: mean((x - mean)²), or as JAX has it mean(x²) - mean²."""
    mean, centre = _of(value, "ReduceMean"), _of(value, "Sub")
    if mean is None or centre is None or list(centre.inputs) != [value, mean.outputs[0]]:
        return None
    centred = centre.outputs[0]
    divisor = _divisor(centred, None) or _divisor(value, mean)
    last = _only(divisor[-1].outputs[0]) if divisor else None
    if last is None:
        return None
    parts = [centred, divisor[-1].outputs[0]]
    divided = last.op_type == "Div" and list(last.inputs) == parts
    multiplied = last.op_type == "Mul" and divisor[-1].op_type == "Reciprocal" and set(last.inputs) == set(parts)
    nodes = [mean, centre, *divisor, last]
    inner = [value, *(node.outputs[0] for node in nodes[:-1])]
    closed = all(reader in nodes for part in inner for reader in consumers(part))
    return Normalised(last.outputs[0], tuple(nodes)) if closed and (divided or multiplied) else None


def _divisor(squared: ir.Value, mean: ir.Node | None) -> list[ir.Node]:
    """From what is squared to the root, or one over it; with a `mean`, its square is taken away. Empty: not that."""
    nodes = [_square(squared)]
    nodes.append(_next(nodes[-1], "ReduceMean"))
    if mean is not None:
        nodes += [square := _square(mean.outputs[0]), _next(square, "Sub")]
    for operator in ("Max", "Add", "Sqrt", "Reciprocal"):
        found = _next(nodes[-1], operator)
        if found is not None or operator in ("Add", "Sqrt"):
            nodes.append(found)
    found_all = [node for node in nodes if node is not None]
    return found_all if len(found_all) == len(nodes) else []


def _square(value: ir.Value) -> ir.Node | None:
    """The reader that gives the square of the value."""
    readers = [n for n in consumers(value) if n.domain in STANDARD]
    return next((n for n in readers if n.op_type == "Pow" or list(n.inputs) == [value, value]), None)


def _next(node: ir.Node | None, operator: str) -> ir.Node | None:
    return None if node is None else _of(node.outputs[0], operator)


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
