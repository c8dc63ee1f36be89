"""Receptive fields through operators that move, cut, lengthen or join a tensor's axes."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate
from typing import Final

import numpy as np

from inspector.graph.receptive.join import join
from inspector.graph.receptive.step import Step, axes_of, dims
from inspector.graph.receptive.trace import NOWHERE, Axis, Extent, Reading, Shift, Trace

_TO_THE_END: Final = (1 << 31) - 1
"""Exporters write this, or more, for "to the end"."""


def transpose(step: Step) -> Trace:
    """Axes change places."""
    trace = step.trace
    rank = len(trace.axes)
    order = axes_of(step.numbers("perm", tuple(reversed(range(rank)))), rank)
    return Trace(tuple(trace.axes[t] for t in order), trace.lost)


def squeeze(step: Step) -> Trace:
    """Axes of size 1 go."""
    listed = step.listed("axes", 1)
    if listed is None and (step.given(1) or None in [step.size(0, t) for t in range(len(step.trace.axes))]):
        return step.trace.losing(range(len(step.trace.axes)), f"which axes {step.why} takes away is not known")
    rank = len(step.trace.axes)
    gone = axes_of(listed, rank) if listed is not None else [t for t in range(rank) if step.size(0, t) == 1]
    trace = step.trace.dropping(gone, step.why)
    return Trace(tuple(a for t, a in enumerate(trace.axes) if t not in gone), trace.lost)


def unsqueeze(step: Step) -> Trace:
    """Axes of size 1 come."""
    trace, listed = step.trace, step.listed("axes", 1)
    if listed is None:
        return trace.losing(range(len(trace.axes)), f"which axes {step.why} adds is not known")
    rank = len(trace.axes) + len(listed)
    new, rest = set(axes_of(listed, rank)), iter(trace.axes)
    return Trace(tuple(NOWHERE if t in new else next(rest) for t in range(rank)), trace.lost)


def cut(step: Step) -> Trace:
    """Slice: unit u is unit first + u * step of the input."""
    trace, rank = step.trace, len(step.trace.axes)
    starts, ends = step.listed("starts", 1), step.listed("ends", 2)
    count = next((len(c) for c in (starts, ends) if c is not None), None) or (step.size(1, 0) or 0)
    axes = step.listed("axes", 3) if step.given(3) or "axes" in step.node.attributes else tuple(range(count))
    steps = step.listed("steps", 4) if step.given(4) else (1,) * count
    if axes is None or steps is None or len(axes) != len(steps) or not axes:
        return trace.losing(range(rank), f"which axes {step.why} cuts is not known")
    for i, t in enumerate(axes_of(axes, rank)):
        window = trace.axes[t].single
        start = None if starts is None else starts[i]
        if start == 0 and steps[i] == 1 and ends is not None and ends[i] >= _TO_THE_END:
            continue
        if steps[i] < 1:
            trace = trace.losing([t], f"{step.why} reads backwards")
        elif window is None:
            trace = trace.losing([t], f"{step.why} cuts an axis where {trace.axes[t].merged}")
        else:
            first = _first(step, i, start, window.extent)
            trace = trace.reaching(t, Reading(first, 0, steps[i], step.out_extent(t)), step.why)
    return trace


def _first(step: Step, i: int, start: int | None, extent: Extent) -> Shift:
    """Where a slice begins, counted from unit 0."""
    if start is None:
        return step.open.shift(f"where {step.why} begins is not known", "start", step.node.outputs[0].name, i, low=0)
    if isinstance(extent, int):
        return Shift(Fraction(min(max(start + extent * (start < 0), 0), extent)))
    if start >= 0:
        return Shift(Fraction(start))
    return step.open.shift(f"where {step.why} begins depends on the size of the input", "end", extent, start, low=0)


def pad(step: Step) -> Trace:
    """Unit u is unit u - before of the input, or lies outside."""
    trace, rank = step.trace, len(step.trace.axes)
    listed = step.listed("paddings" if "paddings" in step.node.attributes else "pads", 1)
    axes = step.listed("axes", 3) if step.given(3) else tuple(range(rank))
    if axes is None or (listed is not None and len(listed) != 2 * len(axes)):
        return trace.losing(range(rank), f"which axes {step.why} pads is not known")
    mode = step.text("mode", "constant")
    for i, t in enumerate(axes_of(axes, rank)):
        if listed is None:
            before = step.open.shift(f"how much {step.why} pads is not known", "pads", step.node.outputs[0].name, i)
        else:
            before = Shift(Fraction(listed[i]))
        if listed is None or listed[i] or listed[i + len(axes)]:
            trace = trace.reaching(t, Reading(Shift().plus(before, -1), 0, 1, step.out_extent(t)), step.why)
            if mode != "constant":
                note = f"{step.why} pads with pixels of the image ({mode}): units at the border read those instead"
                trace = trace.with_axis(t, Axis(tuple(w.noted(note) for w in trace.axes[t].windows)))
    return trace


def split(step: Step) -> list[Trace]:
    """Every output holds its own part of one axis."""
    trace = step.trace
    (t,) = axes_of([step.number("axis", 0)], len(trace.axes))
    if not trace.axes[t].windows:
        return [trace] * len(step.node.outputs)
    listed = step.listed("split", 1)
    sizes = listed or [size for k in range(len(step.node.outputs)) if (size := step.out_size(t, k)) is not None]
    if len(sizes) != len(step.node.outputs):
        return [trace.losing([t], f"where {step.why} cuts is not known")] * len(step.node.outputs)
    starts = accumulate(sizes, initial=0)
    return [trace.reaching(t, Reading.at(a, 0, 1, n), step.why) for a, n in zip(starts, sizes, strict=False)]


def concat(step: Step) -> Trace:
    """Branches side by side along one axis, joined along the others."""
    branches = step.branches()
    rank = max(len(trace.axes) for _, trace in branches)
    (t,) = axes_of([step.number("axis", 1)], rank)
    if len(step.node.inputs) > 1:
        why = f"{step.why} lays maps side by side along the image"
        branches = [(name, trace.losing([t], why) if trace.live else trace) for name, trace in branches]
    return join(branches, [step.out_size(axis) for axis in range(rank)], step.why)


def gather(step: Step) -> Trace:
    """Picks units of one axis by constant numbers."""
    trace = step.trace
    (t,) = axes_of([step.number("axis", 0)], len(trace.axes))
    shape = step.dims(1)
    if shape is None or (len(step.traces) > 1 and step.traces[1] is not None):
        return trace.losing(range(len(trace.axes)), f"which units {step.why} picks is not known")
    trace = trace.mixing([t], step.why)
    return Trace((*trace.axes[:t], *[NOWHERE] * len(shape), *trace.axes[t + 1 :]), trace.lost)


def expand(step: Step) -> Trace:
    """Axes of size 1 are repeated."""
    shape = dims(step.node.outputs[0])
    if shape is None:
        return step.trace.losing(range(len(step.trace.axes)), f"the shape that {step.why} makes is not known")
    sizes = [d if isinstance(d, int) else None for d in shape]
    return join(step.branches([0]), sizes, step.why)


def tile(step: Step) -> Trace:
    """Whole axes are repeated."""
    repeats = step.constant(1)
    times = np.zeros(len(step.trace.axes), int) if repeats is None else repeats.reshape(-1)
    return step.trace.losing([t for t, r in enumerate(times) if r != 1], f"{step.why} lays the map side by side")
