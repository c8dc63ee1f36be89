"""Operators that work along the batch, so that inputs which share a run change each other's numbers.

Only what is certain counts: the axis is known, and on it lies the batch. What this overlooks, running inputs together
and alone has to find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

import onnx_ir as ir

from inspector.graph.constants import STANDARD, Constants

Batch = frozenset[int | str]
"""The length of the batch, or the names that a file gave it; empty where it gave none."""
_Rule = Callable[[ir.Node, int, Constants], Iterable[int] | None]
"""Of a node and the rank of what it reads: the axes along which numbers meet; None: none, or not known which."""

_ALWAYS: Final = ("DynamicQuantizeLinear",)
"""They find one number for all inputs that share a run."""
_SHAPES: Final = ("Shape", "Size")
"""What they give depends on no number of an input."""


def batch_of(inputs: Iterable[ir.Value]) -> Batch:
    """How the first axis of a model's inputs is marked; a name that other axes have as well marks nothing."""
    shapes = [v.shape for v in inputs if not v.is_initializer() and v.shape is not None and len(v.shape)]
    other = {_mark(dim) for shape in shapes for dim in list(shape)[1:]}
    first = {mark for shape in shapes if (mark := _mark(shape[0])) is not None}
    names = {mark for mark in first if isinstance(mark, str)}
    if names:
        return frozenset(names - other)
    return frozenset(first) if len(first) == 1 else frozenset()


def mixes(node: ir.Node, batch: Batch, constants: Constants) -> bool:
    """Whether the node certainly works along the batch."""
    if node.domain not in STANDARD:
        return False
    if node.op_type in _ALWAYS or (node.op_type == "Scan" and _carries_on(node, batch)):
        return True
    rule, value = _RULES.get(node.op_type), node.inputs[0] if node.inputs else None
    if rule is None or value is None or value.shape is None or not _begins_with(value, batch):
        return False
    rank = len(value.shape)
    axes = rule(node, rank, constants)
    return axes is not None and not {0, -rank}.isdisjoint(axes) and _is_data(value)


def _carries_on(node: ir.Node, batch: Batch) -> bool:
    """Whether a Scan goes from input to input, and takes something along."""
    scanned = node.inputs[max(0, len(node.inputs) - _int(node, "num_scan_inputs", 0)) :]
    if len(scanned) == len(node.inputs):
        return False
    axes = [*_ints(node, "scan_input_axes", ())] or [0] * len(scanned)
    return any(
        value is not None and value.shape is not None and axis in {0, -len(value.shape)}
        and _begins_with(value, batch) and _is_data(value)
        for value, axis in zip(scanned, axes, strict=False)
    )  # fmt: skip


def _begins_with(value: ir.Value, batch: Batch) -> bool:
    """Whether the first axis is the batch, by its mark. A vector may be as long as a fixed batch by chance."""
    if not value.shape or (value.dtype is not None and not value.dtype.is_floating_point()):
        return False
    mark = _mark(value.shape[0])
    return mark in batch and (isinstance(mark, str) or len(value.shape) > 1)


def _is_data(value: ir.Value) -> bool:
    """Whether it is made of an input's numbers, and not only of constants and of sizes."""
    seen: set[ir.Value] = set()
    pending = [value]
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        node = current.producer()
        if node is None and current.const_value is None:
            return True
        if node is not None and node.op_type not in _SHAPES:
            pending += [i for i in node.inputs if i is not None]
    return False


def _along(node: ir.Node, _: int, __: Constants, *, default: int = -1) -> Iterable[int]:
    """One axis. Some operators take all behind it as well, which says nothing new about the batch."""
    return (_int(node, "axis", default),)


def _listed(node: ir.Node, _: int, constants: Constants) -> Iterable[int] | None:
    """The second input, where that is constant."""
    found = constants(node.inputs[1]) if len(node.inputs) > 1 else None
    return None if found is None else [int(i) for i in found.ravel()]


def _reduced(node: ir.Node, rank: int, constants: Constants) -> Iterable[int] | None:
    """An attribute or an input; where there is none it is all axes, or none if the node says so."""
    given = len(node.inputs) > 1 and node.inputs[1] is not None
    axes = _listed(node, rank, constants) if given else _ints(node, "axes", ())
    if axes is None or [*axes]:
        return axes
    return None if _int(node, "noop_with_empty_axes", 0) else range(rank)


def _normalised(node: ir.Node, _: int, __: Constants) -> Iterable[int]:
    return _ints(node, "axes", (0, 2, 3))


def _trained(node: ir.Node, _: int, __: Constants) -> Iterable[int]:
    """Batch normalisation by what it is fed."""
    return (0,) if _int(node, "training_mode", 0) else ()


_REDUCE: Final = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
_RULES: Final[Mapping[str, _Rule]] = {
    **{f"Reduce{name}": _reduced for name in _REDUCE},
    "ArgMax": partial(_along, default=0),
    "ArgMin": partial(_along, default=0),
    "BatchNormalization": _trained,
    "CumProd": _listed,
    "CumSum": _listed,
    "Hardmax": _along,
    "LayerNormalization": _along,
    "LogSoftmax": _along,
    "LpNormalization": _along,
    "MeanVarianceNormalization": _normalised,
    "RMSNormalization": _along,
    "Softmax": _along,
    "TopK": _along,
    "Unique": partial(_along, default=0),
}


def _int(node: ir.Node, name: str, default: int) -> int:
    return int(node.attributes[name].as_int()) if name in node.attributes else default


def _ints(node: ir.Node, name: str, default: Iterable[int]) -> Iterable[int]:
    return node.attributes[name].as_ints() if name in node.attributes else default


def _mark(dim: int | ir.SymbolicDim) -> int | str | None:
    return dim if isinstance(dim, int) else dim.value
