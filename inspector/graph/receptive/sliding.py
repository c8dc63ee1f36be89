"""Receptive fields through everything that slides a window over space: convolution, pooling, their transposes.

Let k be the dilated kernel, d * (kernel - 1) + 1, s the stride and p the padding before the first unit.
A convolution's or pool's unit u reads units u * s - p to u * s - p + k - 1. A transposed convolution's unit u reads
the units i with i * s + tap * d - p = u for one of its taps, so those in [(u + p - (k - 1)) / s, (u + p) / s].
`ceil_mode` adds units at the end and changes no window; groups choose channels, not places.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Final

from inspector.graph.convolutions import adds_before_activation, form_of
from inspector.graph.receptive.step import Step, dims
from inspector.graph.receptive.trace import Extent, Loss, Reading, Shift, Trace, worse

_WEIGHT: Final = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3, "ConvTranspose": 1, "FusedConv": 1}


def convolution(step: Step) -> Trace:
    """Conv, ConvInteger, QLinearConv, FusedConv without an added value: slides over space, mixes the channels.

    Raises:
        ValueError: its axes from 2 on are not space, or another image is added to what it convolves.
    """
    form = form_of(step.node)
    if form is None or form.channels_last or adds_before_activation(step.node):
        raise ValueError("channels last, or another value is added inside")
    return _slide(step, _channels(step), _one_conv_axis)


def pool(step: Step) -> Trace:
    """MaxPool, AveragePool, LpPool."""
    return _slide(step, step.trace, _one_conv_axis)


def transposed(step: Step) -> Trace:
    """ConvTranspose."""
    return _slide(step, _channels(step), _one_transposed_axis)


def space_to_depth(step: Step) -> Trace:
    """Unit u holds units u * b to u * b + b - 1 in its channels."""
    b, trace = step.number("blocksize", 1), step.trace.mixing([1], step.why)
    for t in (2, 3):
        trace = trace.reaching(t, Reading.at(0, b - 1, b, step.out_extent(t)), step.why)
    return trace


def depth_to_space(step: Step) -> Trace:
    """Unit u comes from unit floor(u / b)."""
    b, trace = step.number("blocksize", 1), step.trace.mixing([1], step.why)
    rest = Fraction(b - 1, b)
    for t in (2, 3):
        trace = trace.reaching(t, Reading.at(-rest, rest, Fraction(1, b), step.out_extent(t)), step.why)
    return trace


def _channels(step: Step) -> Trace:
    """Of the data, its channels mixed; all of an image that also decides about the weights is read."""
    trace = step.trace.mixing([1], step.why)
    for _, other in step.branches(range(1, len(step.traces))):
        lost = {
            w.axis: Loss(f"{step.why} computes its weights from it", whole=True) for a in other.axes for w in a.windows
        }
        trace = Trace(trace.axes, worse(trace.lost, worse(other.lost, lost)))
    return trace


class _Geometry:
    """Kernel, strides, dilations and padding of a node, one entry per spatial axis."""

    def __init__(self, step: Step, rank: int) -> None:
        kernel = step.numbers("kernel_shape", _weight_kernel(step)) if step.node.op_type in _WEIGHT else _kernel(step)
        n = rank - 2
        if len(kernel) != n or min(kernel) < 1:
            raise ValueError(f"kernel {kernel} over {n} spatial axes")
        self.strides = step.numbers("strides", (1,) * n)
        self.dilations = step.numbers("dilations", (1,) * n)
        self.pads = step.numbers("pads", (0,) * (2 * n))
        self.mode = step.text("auto_pad", "NOTSET")
        self.spans = tuple(d * (k - 1) + 1 for d, k in zip(self.dilations, kernel, strict=True))
        self.pools = step.node.op_type not in _WEIGHT
        self.padded = tuple(kernel) if self.pools else self.spans
        if min(self.strides) < 1 or min(self.dilations) < 1:
            raise ValueError(f"strides {self.strides}, dilations {self.dilations}")


def _kernel(step: Step) -> tuple[int, ...]:
    return tuple(int(k) for k in step.node.attributes["kernel_shape"].as_ints())


def _weight_kernel(step: Step) -> tuple[int, ...]:
    weight = step.node.inputs[_WEIGHT[step.node.op_type]]
    kernel = (dims(weight) or ())[2:]
    if not kernel or not all(isinstance(d, int) for d in kernel):
        array = step.constants(weight)
        kernel = () if array is None else array.shape[2:]
    return tuple(int(d) for d in kernel if d is not None)


def _slide(step: Step, trace: Trace, one: Callable[[Step, Trace, int, _Geometry], Trace]) -> Trace:
    geometry = _Geometry(step, len(trace.axes))
    for t in range(2, len(trace.axes)):
        trace = one(step, trace, t, geometry)
    return trace


def _one_conv_axis(step: Step, trace: Trace, t: int, geometry: _Geometry) -> Trace:
    i = t - 2
    span, stride = geometry.spans[i], geometry.strides[i]
    window = trace.axes[t].single
    before: Shift = Shift(Fraction(geometry.pads[i]))
    extent: Extent = step.out_extent(t)
    if geometry.mode == "VALID":
        before = Shift()
    elif geometry.mode != "NOTSET" and window is not None:
        before = _same(step, window.extent, geometry, i)
    keeps = geometry.mode.startswith("SAME") or geometry.pads[i] + geometry.pads[i + len(geometry.spans)] == span - 1
    if window is not None and not isinstance(extent, int) and keeps:
        extent = window.extent if stride == 1 else step.open.extent("ceil", window.extent, stride)
    return trace.reaching(t, Reading(Shift().plus(before, -1), span - 1, stride, extent), step.why)


def _same(step: Step, size: Extent, geometry: _Geometry, i: int) -> Shift:
    """Padding before the first unit that makes ceil(size / stride) units; the odd one goes after it, or before.

    onnxruntime leaves dilation out of it in pools, and lets them begin behind the first place where strides are longer
    than kernels.
    """
    span, stride, lower = geometry.padded[i], geometry.strides[i], geometry.mode == "SAME_LOWER"
    behind = geometry.pools and span < stride

    def padding(last: int) -> int:
        """`last`: how many units the last window has before the end of the input, 1 to stride."""
        total = span - last if behind else max(span - last, 0)
        return int((total + lower) / 2)

    if isinstance(size, int):
        return Shift(Fraction(padding((size - 1) % stride + 1)))
    low, high = padding(stride), padding(1)
    if low == high:
        return Shift(Fraction(low))
    reason = f"the padding of {step.why} depends on the size of the input"
    return step.open.shift(reason, "same", size, span, stride, lower, behind, low=low, high=high)


def _one_transposed_axis(step: Step, trace: Trace, t: int, geometry: _Geometry) -> Trace:
    i = t - 2
    span, stride = geometry.spans[i], geometry.strides[i]
    before = _transposed_padding(step, t, geometry)
    first = Shift(Fraction(1 - span, stride)).plus(before, Fraction(1, stride))
    return trace.reaching(
        t, Reading(first, Fraction(span - 1, stride), Fraction(1, stride), step.out_extent(t)), step.why
    )


def _transposed_padding(step: Step, t: int, geometry: _Geometry) -> Shift:
    """As the operator defines it: `pads`, or what makes `output_shape`, or what makes size * stride."""
    i, n = t - 2, len(geometry.spans)
    span, stride, more = geometry.spans[i], geometry.strides[i], step.numbers("output_padding", (0,) * n)[i]
    if "output_shape" in step.node.attributes:
        size, wanted = step.size(0, t), step.node.attributes["output_shape"].as_ints()[-n:][i]
        if size is None:
            reason = f"the padding of {step.why} depends on the size of the input"
            return step.open.shift(reason, "output_shape", step.node.outputs[0].name, t)
        total = stride * (size - 1) + more + span - wanted
    elif geometry.mode.startswith("SAME"):
        total = span + more - stride
    else:
        return Shift(Fraction(0 if geometry.mode == "VALID" else geometry.pads[i]))
    total = max(total, 0)
    return Shift(Fraction(total // 2 if geometry.mode == "SAME_UPPER" else total - total // 2))
