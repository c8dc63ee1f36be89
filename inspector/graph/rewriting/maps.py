"""What is known of the maps of a value that is measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import onnx
import onnx_ir as ir

from inspector.graph.convolutions import has_channels_last
from inspector.graph.doubts import doubtful
from inspector.graph.layout import Layout
from inspector.graph.quantized import Coding, coding_of
from inspector.graph.shapes import Kinds, dims_of
from inspector.graph.view import OnnxView

EXACT_AREA: Final = 1 << 22
"""Largest map whose count survives being averaged in float32."""
_MOST_POSITIONS: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """A tensor that is measured, as it lies in the message.

    Attributes:
        name: of the value.
        dtype: its element type.
        layout: how the maps lie in it.
        space: sizes of the axes of one map; None where they are only known at run time.
        channels: C, where it is known.
        is_of_inputs: True where N is known to be the number of inputs that share the run.
        coding: how it is quantised: such tensors are measured as the real numbers that they stand for.
    """

    name: str
    dtype: ir.DataType
    layout: Layout
    space: tuple[int, ...] | None
    channels: int | None
    is_of_inputs: bool = True
    coding: Coding | None = None

    @property
    def area(self) -> int | None:
        """Spatial positions, where they are known, and not more than can be counted.

        Inference makes sizes below 0 of inputs that are smaller than a kernel.
        """
        if self.space is None or min(self.space, default=0) < 0:
            return None
        area = math.prod(self.space)
        return area if area <= _MOST_POSITIONS else None


class Maps:
    """The maps of values of one message, for inputs of the shapes that it says."""

    def __init__(self, message: onnx.ModelProto, view: OnnxView, kinds: Kinds) -> None:
        """`kinds`: types of the values of the message, which is a copy of the view's."""
        self._view, self._kinds = view, kinds
        self._batches = {_batch(value.type) for value in message.graph.input} - {None}
        self._doubtful = doubtful(message, kinds, nested=view.source.nested)
        self._known: dict[str, Watched] = {}

    def __call__(self, tensor: str) -> Watched:
        """What is known of the maps of this value."""
        if tensor not in self._known:
            self._known[tensor] = self._facts(tensor)
        return self._known[tensor]

    def _facts(self, tensor: str) -> Watched:
        found = self._view.watchable[tensor]
        value, layout, dims = found.value, found.layout, dims_of(self._kinds.get(tensor))
        fits = dims is not None and len(dims) == layout.rank
        turned = [dims[axis] for axis in layout.channels_first] if dims is not None and fits else None
        return Watched(
            tensor,
            value.dtype or ir.DataType.FLOAT,
            layout,
            None if has_channels_last(value) or tensor in self._doubtful else space_of(turned),
            None if turned is None else turned[1],
            is_of_inputs=_batch(self._kinds.get(tensor)) in self._batches,
            coding=coding_of(value),
        )


def for_any_size(maps: Watched) -> Watched:
    """The same for runs of other sizes too, as long as no measure is written otherwise because they are large."""
    return maps if maps.area is not None and 0 < maps.area <= EXACT_AREA else replace(maps, space=None)


def _batch(kind: onnx.TypeProto | None) -> int | str | None:
    """The first dimension of a type: its size, or the name that a file or inference gave it."""
    dims = () if kind is None else kind.tensor_type.shape.dim
    return (dims[0].dim_value if dims[0].HasField("dim_value") else dims[0].dim_param or None) if dims else None


def space_of(shape: Sequence[int | None] | None) -> tuple[int, ...] | None:
    """Spatial sizes of (N, C, *space), or None where one is free."""
    sizes = tuple(d for d in shape[2:] if d is not None) if shape is not None else ()
    return sizes if shape is not None and len(sizes) == len(shape) - 2 else None
