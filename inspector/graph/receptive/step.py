"""One node as a receptive-field rule sees it: its attributes, constant inputs, shapes and the traces it reads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

import onnx_ir as ir

from inspector.contract import Array
from inspector.graph.constants import Constants
from inspector.graph.receptive.trace import Extent, Free, Shift, Trace, Unknown

MOST_LISTED: Final = 64
"""Tensors have fewer axes than this; longer lists of axes or sizes are nonsense."""
Dims = tuple[int | str | None, ...]
"""A shape: known sizes, names of free ones, None where not even a name is given."""


@dataclass(slots=True)
class OpenNumbers:
    """The numbers that the model's text leaves open, one object each, so that equal ones can be told."""

    extents: dict[object, Free] = field(default_factory=dict)
    unknowns: dict[object, Unknown] = field(default_factory=dict)

    def extent(self, *key: object) -> Free:
        """The unknown size that `key` describes."""
        return self.extents.setdefault(key, Free())

    def shift(self, reason: str, *key: object, low: float = -math.inf, high: float = math.inf) -> Shift:
        """The unknown distance that `key` describes."""
        unknown = self.unknowns.setdefault(key, Unknown(reason, low, high))
        return Shift(unknown={unknown: Fraction(1)})


@dataclass(frozen=True, slots=True)
class Step:
    """A node, and what its inputs read of the image (None: nothing)."""

    node: ir.Node
    traces: tuple[Trace | None, ...]
    constants: Constants
    open: OpenNumbers
    opset: int

    @property
    def why(self) -> str:
        """How messages call the node."""
        return f"{self.node.op_type} {self.node.name or self.node.outputs[0].name!r}"

    @property
    def trace(self) -> Trace:
        """Of the first input."""
        trace = self.traces[0]
        if trace is None:
            raise ValueError("its first input does not depend on the image")
        return trace

    def branches(self, indices: Sequence[int] | None = None) -> list[tuple[str, Trace]]:
        """Names and traces of the inputs that depend on the image."""
        chosen = range(len(self.traces)) if indices is None else indices
        return [(str(self.node.inputs[i].name), t) for i in chosen if (t := self.traces[i]) is not None]  # type: ignore[union-attr]

    def number(self, name: str, default: int) -> int:
        """An attribute."""
        return int(self.node.attributes[name].as_int()) if name in self.node.attributes else default

    def text(self, name: str, default: str) -> str:
        """An attribute."""
        return self.node.attributes[name].as_string() if name in self.node.attributes else default

    def numbers(self, name: str, default: Sequence[int]) -> tuple[int, ...]:
        """An attribute, as long as its default.

        Raises:
            ValueError: it is of another length.
        """
        found = self.node.attributes.get(name)
        numbers = tuple(default) if found is None else tuple(int(i) for i in found.as_ints())
        if len(numbers) != len(default):
            raise ValueError(f"attribute {name!r} has {len(numbers)} numbers instead of {len(default)}")
        return numbers

    def listed(self, name: str, index: int) -> tuple[int, ...] | None:
        """Integers that older opsets have as attribute `name`, newer ones as constant input `index` (-1: never).

        None where neither is there.
        """
        if name in self.node.attributes:
            return tuple(int(i) for i in self.node.attributes[name].as_ints())
        array = self.constant(index) if index >= 0 else None
        return None if array is None else tuple(int(i) for i in array.reshape(-1))

    def given(self, index: int) -> bool:
        """Whether that optional input is there."""
        return index < len(self.node.inputs) and self.node.inputs[index] is not None

    def constant(self, index: int) -> Array | None:
        """The few numbers of an input that depends on nothing, or None.

        Raises:
            ValueError: there are more than any list of axes or sizes has.
        """
        shape = self.dims(index) or ()
        if math.prod(d for d in shape if isinstance(d, int)) > MOST_LISTED:
            raise ValueError(f"input {index} has shape {shape}")
        array = self.constants(self.node.inputs[index]) if self.given(index) else None
        if array is not None and array.size > MOST_LISTED:
            raise ValueError(f"input {index} has {array.size} numbers")
        return array

    def dims(self, index: int) -> Dims | None:
        """The shape of an input, or None where not even its rank is known."""
        return dims(self.node.inputs[index]) if self.given(index) else None

    def size(self, index: int, axis: int) -> int | None:
        """The size of one axis of an input, where it is known."""
        return _size(self.dims(index), axis)

    def out_size(self, axis: int, output: int = 0) -> int | None:
        """The size of one axis of an output, where it is known."""
        return _size(dims(self.node.outputs[output]), axis)

    def out_extent(self, axis: int, output: int = 0) -> Extent:
        """The size of one axis of an output, or what stands for it."""
        size = self.out_size(axis, output)
        return self.open.extent("axis", self.node.outputs[output].name, axis) if size is None else size


def _size(shape: Dims | None, axis: int) -> int | None:
    found = None if shape is None or axis >= len(shape) else shape[axis]
    return found if isinstance(found, int) else None


def dims(value: ir.Value | None) -> Dims | None:
    """The shape of a value as the graph has it."""
    if value is None:
        return None
    shape = value.shape if value.const_value is None else value.const_value.shape
    return None if shape is None else tuple(d if isinstance(d, int) else d.value for d in shape)


def axes_of(numbers: Sequence[int], rank: int) -> list[int]:
    """Axis numbers counted from 0, each once.

    Raises:
        ValueError: one lies outside of the rank.
    """
    if any(not -rank <= n < rank for n in numbers):
        raise ValueError(f"axes {tuple(numbers)} of a tensor of rank {rank}")
    return list(dict.fromkeys(n % rank for n in numbers))
