"""Receptive fields: which pixels of the image a unit of a value can read.

Unit u of a value reads, along one axis of the image, no pixel outside of the interval

    [offset + u * stride, offset + u * stride + size - 1],

before it is clipped to the image; padding is what lies outside. Where a border is repeated (Pad by edge, Resize), units
at it read pixels further inside, and the result says so as its reason.

The numbers are exact fractions: below a stride of 1 (after upsampling) the pixels read are the whole numbers inside,
and units differ, so that the interval is the union of what they read relative to u * stride. Without upsampling both
ends are always read. For a chain of layers with kernels k, strides s and paddings p before the first unit that gives
what Araujo, Norris and Sim state (2019, Computing Receptive Fields of Convolutional Neural Networks, Distill, doi
10.23915/distill.00021): size 1 + sum (k - 1) * jump, stride prod s, offset - sum p * jump, where jump is the product of
the strides before. Their effective padding is `-offset`. Branches that meet give the union, and are aligned where their
intervals share one centre.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

import onnx_ir as ir

from inspector.errors import LimitError
from inspector.graph.bodies import bodies
from inspector.graph.constants import STANDARD, Constants
from inspector.graph.receptive.rules import SLIDING, follow_node, unread
from inspector.graph.receptive.step import OpenNumbers, Step, dims
from inspector.graph.receptive.trace import Axis, Trace, Window

MAX_IMAGES: Final = 64
"""Inputs of a model that are followed; every one costs a walk through the graph."""
MAX_RANK: Final = 8
"""Inputs of a higher rank are no images."""


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """What the units of one value read of one image. Every tuple has one entry per spatial axis of the image.

    Attributes:
        axes: which axis of the value runs along it; None where none does any more.
        size: pixels, or None where it is unbounded or undetermined.
        stride: pixels from one unit to the next; None where no axis of the value runs along the image any more.
        offset: first pixel of unit 0's interval, negative inside of padding; None where `size` is, and where a padding
            depends on the size of the input.
        aligned: whether all branches share one centre; None where something unbounded or undetermined forbids to say.
        unbounded: True where every unit may read all of the image, along at least one axis.
        reason: the first node that made anything above None, unbounded or not aligned, and notes; empty: plain.
    """

    axes: tuple[int | None, ...]
    size: tuple[Fraction | None, ...]
    stride: tuple[Fraction | None, ...]
    offset: tuple[Fraction | None, ...]
    aligned: bool | None
    unbounded: bool
    reason: str

    def interval(self, unit: Sequence[int]) -> tuple[tuple[int, int] | None, ...]:
        """First and last pixel that a unit reads, by axis, before clipping; None where that is not known."""
        found: list[tuple[int, int] | None] = []
        for u, size, stride, offset in zip(unit, self.size, self.stride, self.offset, strict=True):
            if size is None or stride is None or offset is None:
                found.append(None)
            else:
                start = offset + u * stride
                found.append((math.ceil(start), math.floor(start + size - 1)))
        return tuple(found)

    def facts(self) -> dict[str, object]:
        """As JSON: whole numbers as int, others as float."""
        return {
            "axes": list(self.axes),
            "size": _plain(self.size),
            "stride": _plain(self.stride),
            "offset": _plain(self.offset),
            "aligned": self.aligned,
            "unbounded": self.unbounded,
            "reason": self.reason,
        }

    def centre(self, unit: Sequence[int]) -> tuple[Fraction | None, ...]:
        """Where a unit looks, by axis: offset + u * stride + (size - 1) / 2, pixel 0 being at 0."""
        return tuple(
            None if s is None or j is None or o is None else o + u * j + (s - 1) / 2
            for u, s, j, o in zip(unit, self.size, self.stride, self.offset, strict=True)
        )


def _plain(numbers: Sequence[Fraction | None]) -> list[int | float | None]:
    return [None if n is None else int(n) if n.denominator == 1 else float(n) for n in numbers]


@dataclass(frozen=True, slots=True)
class _Image:
    """One input of the model, and the traces of all values that depend on it."""

    rank: int
    space: set[int] = field(default_factory=set)
    traces: dict[str, Trace] = field(default_factory=dict)


class ReceptiveFields:
    """The receptive fields of one model's values, by tensor name."""

    def __init__(self, images: Mapping[str, _Image]) -> None:
        self._images: Final = images

    def of(self, tensor: str) -> dict[str, ReceptiveField]:
        """By name of the image, for every image that the tensor depends on; empty where it depends on none.

        Tensors inside the bodies of Loop and Scan are not followed, nor are inputs of unknown rank.
        """
        return {
            name: _field(image.traces[tensor], sorted(image.space))
            for name, image in self._images.items()
            if tensor in image.traces and image.space
        }


def receptive_fields(model: ir.Model, constants: Constants) -> ReceptiveFields:
    """Follows every image through the graph, once, in linear time. Shapes must have been inferred.

    An image is an input with an axis that some convolution or pooling slides along; those are its spatial axes. Where
    there is none it is an input of rank 3 or more, its axes 2 and on being space.

    Raises:
        LimitError: the model has more than `MAX_IMAGES` inputs.
    """
    inputs = [v for v in model.graph.inputs if not v.is_initializer() and 1 < len(dims(v) or ()) <= MAX_RANK]
    if len(inputs) > MAX_IMAGES:
        raise LimitError(
            "receptive fields",
            "the model has too many inputs",
            expected=f"at most {MAX_IMAGES}",
            found=str(len(inputs)),
        )
    return ReceptiveFields({str(v.name): _follow(v, model, constants) for v in inputs})


def _follow(image: ir.Value, model: ir.Model, constants: Constants) -> _Image:
    """The traces of everything that depends on one input."""
    numbers, shape = OpenNumbers(), dims(image) or ()
    extents = [d if isinstance(d, int) else numbers.extent("image", d or t) for t, d in enumerate(shape)]
    found = _Image(len(shape))
    found.traces[str(image.name)] = Trace(tuple(Axis((Window(t, n),)) for t, n in enumerate(extents)), {})
    opset = model.graph.opset_imports.get("", 1)
    for node in in_order(model.graph):
        traces = tuple(None if i is None else found.traces.get(str(i.name)) for i in node.inputs)
        for output, trace in zip(node.outputs, _node(node, traces, found, (constants, numbers, opset)), strict=True):
            if trace is not None:
                found.traces[str(output.name)] = trace
    if not found.space:
        found.space.update(range(2, len(shape)))
    return found


def traces_of(image: ir.Value, model: ir.Model, constants: Constants) -> Mapping[str, Trace]:
    """What the values of a model that depend on one input read of it, by name. Shapes must have been inferred."""
    return _follow(image, model, constants).traces


def in_order(graph: ir.Graph) -> Iterator[ir.Node]:
    """Nodes, those in the branches of an If before the If itself; what it gives is undetermined all the same."""
    for node in graph:
        if node.op_type == "If" and node.domain in STANDARD:
            for branch in bodies(node):
                yield from in_order(branch)
        yield node


def _node(
    node: ir.Node,
    traces: tuple[Trace | None, ...],
    found: _Image,
    about: tuple[Constants, OpenNumbers, int],
) -> Sequence[Trace | None]:
    held = bodies(node)
    if held:
        names = {str(i.name) for body in held for inner in body.all_nodes() for i in inner.inputs if i is not None}
        read = [t for t in traces if t is not None] + [found.traces[n] for n in sorted(names) if n in found.traces]
        reason = f"{node.op_type} {node.name or node.outputs[0].name!r} has a body, which is not followed"
        return [unread(read, reason) if read else None] * len(node.outputs)
    if all(t is None for t in traces):
        return [None] * len(node.outputs)
    if not found.space and node.op_type in SLIDING and traces[0] is not None:
        found.space.update(w.axis for axis in traces[0].axes[2:] if (w := axis.single) is not None)
    return follow_node(Step(node, traces, *about))


def _field(trace: Trace, space: Sequence[int]) -> ReceptiveField:
    """What is known of the spatial axes."""
    parts = [_axis(trace, axis) for axis in space]
    reasons = sorted((reason for part in parts for reason in part.reasons), key=lambda reason: not reason[0])
    verdicts = [part.aligned for part in parts]
    return ReceptiveField(
        axes=tuple(p.axis for p in parts),
        size=tuple(p.size for p in parts),
        stride=tuple(p.stride for p in parts),
        offset=tuple(p.offset for p in parts),
        aligned=False if False in verdicts else None if None in verdicts else True,
        unbounded=any(p.whole for p in parts),
        reason="; ".join(dict.fromkeys(text for _, text in reasons)),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """One spatial axis of a field. `reasons`: whether it makes the field unbounded, and the text."""

    axis: int | None
    size: Fraction | None
    stride: Fraction | None
    offset: Fraction | None
    reasons: tuple[tuple[bool, str], ...]
    aligned: bool | None = True
    whole: bool = False


def _axis(trace: Trace, image_axis: int) -> _Part:
    found = [(t, axis, w) for t, axis in enumerate(trace.axes) for w in axis.windows if w.axis == image_axis]
    t, window = (found[0][0], found[0][2]) if len(found) == 1 and not found[0][1].merged else (None, None)
    stride = None if window is None else window.stride
    loss = trace.lost.get(image_axis)
    if loss is not None:
        return _Part(
            t, None, stride, None, ((loss.whole, loss.reason),), False if loss.misaligned else None, loss.whole
        )
    if window is None:
        merged = next((axis.merged for _, axis, _ in found if axis.merged), "several axes of the value run along it")
        return _Part(None, None, None, None, ((False, merged),), aligned=None)
    unknown = [(False, key.reason) for key in window.start.unknown]
    offset = None if unknown else window.start.known
    notes = [(False, note) for note in window.notes]
    return _Part(t, window.length + 1, stride, offset, tuple(unknown + notes), window.aligned)
