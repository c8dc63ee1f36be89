"""Nodes that give a part of every map, or every map with a border of zeros: they change space and nothing else.

Exporters of TensorFlow write a transposed convolution without padding and cut its border off behind it, by sizes that
only a run knows; causal convolutions over time are written so by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import onnx_ir as ir

from inspector.contract import Array
from inspector.graph.constants import STANDARD, Constants
from inspector.graph.convolutions import input_of
from inspector.graph.layout import Layout

CUTTING: Final = frozenset({"Slice", "Pad"})
"""Operators that `is_window` may know."""
_MOST_NUMBERS: Final = 32
_MOST_STEPS: Final = 8
"""Nodes that one number may come through on its way to a Pad."""

Numbers = tuple[int | None, ...]


def is_window(node: ir.Node, layout: Layout, constants: Constants) -> bool:
    """True where maps that lie so are cut to a part of space, or get a border of zeros, input by input."""
    if node.op_type not in CUTTING or node.domain not in STANDARD:
        return False
    return _cuts_space(node, layout, constants) if node.op_type == "Slice" else _pads_space(node, layout, constants)


def _cuts_space(node: ir.Node, layout: Layout, constants: Constants) -> bool:
    axes = _listed(node, "axes", 3, constants)
    return axes is not None and all(_is_space(axis, layout) for axis in axes)


def _pads_space(node: ir.Node, layout: Layout, constants: Constants) -> bool:
    if not _lays_zeros(node, constants):
        return False
    axes = _listed(node, "axes", 3, constants) if input_of(node, 3) is not None else range(layout.rank)
    amounts = _amounts(node, constants)
    if axes is None or amounts is None or len(amounts) != 2 * len(axes):
        return False
    pairs = zip(axes, amounts, amounts[len(axes) :], strict=False)
    return all(_is_space(axis, layout) or (first, last) == (0, 0) for axis, first, last in pairs)


def _lays_zeros(node: ir.Node, constants: Constants) -> bool:
    mode, value = node.attributes.get("mode"), node.attributes.get("value")
    if (mode is not None and mode.as_string() != "constant") or (value is not None and value.as_float() != 0):
        return False
    given = input_of(node, 2)
    number = constants(given)
    return given is None or (number is not None and not number.astype(float).any())


def _amounts(node: ir.Node, constants: Constants) -> Numbers | None:
    """Of a Pad: what is added before each axis, then behind each. None for a number that only a run knows."""
    if "pads" in node.attributes:
        return tuple(int(n) for n in node.attributes["pads"].as_ints())
    return _numbers(input_of(node, 1), constants, _MOST_STEPS)


def _numbers(value: ir.Value | None, constants: Constants, steps: int) -> Numbers | None:
    """What a list of whole numbers holds, None for each that only a run knows; None where its length is not known."""
    array = constants(value)
    if array is not None:
        return _whole(array)
    node = None if value is None else value.producer()
    found = None if node is None or value is None or not steps else _passed_on(node, value, constants, steps - 1)
    return _unknown(value) if found is None else found


def _passed_on(node: ir.Node, value: ir.Value, constants: Constants, steps: int) -> Numbers | None:
    """Through what joins, parts or hands on lists."""
    if node.domain not in STANDARD or node.op_type not in {"Concat", "Split", "Cast", "Identity"}:
        return None
    read = [_numbers(i, constants, steps) for i in node.inputs[: None if node.op_type == "Concat" else 1]]
    lists = [numbers for numbers in read if numbers is not None]
    if not lists or len(lists) < len(read):
        return None
    if node.op_type == "Split":
        return _part(node, value, lists[0], constants)
    joined = tuple(number for numbers in lists for number in numbers)
    return joined if len(joined) <= _MOST_NUMBERS else None


def _part(node: ir.Node, value: ir.Value, numbers: Numbers, constants: Constants) -> Numbers | None:
    sizes = _listed(node, "split", 1, constants)
    if sizes is None:
        sizes = [len(numbers) // len(node.outputs)] * len(node.outputs)
    place = next(k for k, output in enumerate(node.outputs) if output is value)
    fits = len(sizes) == len(node.outputs) and sum(sizes) == len(numbers) and min(sizes) >= 0
    return numbers[sum(sizes[:place]) :][: sizes[place]] if fits else None


def _unknown(value: ir.Value | None) -> Numbers | None:
    shape = None if value is None else value.shape
    length = shape[0] if shape is not None and len(shape) == 1 else None
    return (None,) * length if isinstance(length, int) and 0 <= length <= _MOST_NUMBERS else None


def _listed(node: ir.Node, name: str, index: int, constants: Constants) -> Sequence[int] | None:
    """Whole numbers that are an attribute, or an input; None where they are not given or not constant."""
    if name in node.attributes:
        return [int(n) for n in node.attributes[name].as_ints()]
    array = constants(input_of(node, index))
    return None if array is None else _whole(array)


def _whole(array: Array) -> tuple[int, ...] | None:
    fits = array.ndim == 1 and array.size <= _MOST_NUMBERS and array.dtype.kind in "iu"
    return tuple(int(n) for n in array) if fits else None


def _is_space(axis: int, layout: Layout) -> bool:
    return -layout.rank <= axis < layout.rank and axis % layout.rank not in (0, layout.axis)
