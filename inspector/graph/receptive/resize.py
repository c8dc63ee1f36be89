"""Receptive fields through Resize and Upsample.

Unit u of the result looks at coordinate x(u) of the input, a straight line whose slope is input over output size, and
reads the units around it: one (nearest), the two neighbours (linear) or four (cubic). Where those lie relative to the
line repeats with the denominator of the slope, so looking at that many units gives the window exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Final

from inspector.graph.receptive.step import Step, axes_of
from inspector.graph.receptive.trace import Axis, Reading, Trace

_MOST_PHASES: Final = 4096
_HALF: Final = Fraction(1, 2)
Line = tuple[Fraction, Fraction]
"""Slope, and the coordinate of unit 0."""
Taps = Callable[[Fraction], tuple[int, int]]
"""From a coordinate to the first and last unit that is read."""

_ROUND: Final[dict[str, Callable[[Fraction], int]]] = {
    "round_prefer_floor": lambda x: math.ceil(x - _HALF),
    "round_prefer_ceil": lambda x: math.floor(x + _HALF),
    "floor": math.floor,
    "ceil": math.ceil,
}


def resize(step: Step) -> Trace:
    """Resize, and Upsample as it was before."""
    trace = step.trace
    taps = _taps(step)
    scales = _scales(step, len(trace.axes))
    for t, axis in enumerate(trace.axes):
        if not axis.windows or scales[t] == 1:
            continue
        line = _line(step, scales[t], step.size(0, t), step.out_size(t))
        if taps is None or line is None or line[0].denominator > _MOST_PHASES:
            trace = trace.losing([t], f"what {step.why} reads depends on the size of the input, or is not known here")
        else:
            trace = _resized(step, trace, t, line, taps)
    return trace


def _taps(step: Step) -> Taps | None:
    mode = step.text("mode", "nearest")
    if step.number("antialias", 0):
        return None
    if mode in ("linear", "bilinear"):
        return lambda x: (math.floor(x), math.ceil(x))
    if mode == "cubic":
        return lambda x: (int(x), int(x)) if x.denominator == 1 else (math.floor(x) - 1, math.floor(x) + 2)
    default = "round_prefer_floor" if step.opset >= 11 else "floor"
    nearest = _ROUND[step.text("nearest_mode", default)]
    return lambda x: (nearest(x), nearest(x))


def _scales(step: Step, rank: int) -> list[Fraction | None]:
    """Output over input size by axis; None where the model's text does not say."""
    listed = None
    if "scales" in step.node.attributes:
        listed = [float(s) for s in step.node.attributes["scales"].as_floats()]
    else:
        array = step.constant(2 if step.node.op_type == "Resize" and step.opset >= 11 else 1)
        listed = None if array is None or not array.size else [float(s) for s in array.reshape(-1)]
    axes = axes_of(step.listed("axes", -1) or range(rank), rank)
    scales: list[Fraction | None] = [Fraction(1)] * rank
    for i, t in enumerate(axes):
        scales[t] = _ratio(step, t) if listed is None else _exact(listed[i])
    return scales


def _exact(scale: float) -> Fraction | None:
    return Fraction(scale) if math.isfinite(scale) and scale > 0 else None


def _ratio(step: Step, t: int) -> Fraction | None:
    """From `sizes`: with known sizes on both sides, and stretched as they say."""
    size, wanted = step.size(0, t), step.out_size(t)
    stretched = step.text("keep_aspect_ratio_policy", "stretch") == "stretch"
    return Fraction(wanted, size) if size and wanted and stretched else None


def _line(step: Step, scale: Fraction | None, size: int | None, wanted: int | None) -> Line | None:
    """Where unit u looks: slope * u + the coordinate of unit 0."""
    way = step.text("coordinate_transformation_mode", "half_pixel" if step.opset >= 11 else "asymmetric")
    if way == "align_corners":
        if size is None or wanted is None:
            return None
        return (Fraction(size - 1, wanted - 1), Fraction(0)) if wanted > 1 else (Fraction(0), Fraction(0))
    if scale is None or (step.opset < 11 and scale < 1):  # which unit was nearest then, runtimes saw differently
        return None
    slope = 1 / scale
    if way == "asymmetric" or (way == "pytorch_half_pixel" and wanted == 1):
        return slope, Fraction(0)
    return {
        "half_pixel": (slope, slope / 2 - _HALF),
        "pytorch_half_pixel": (slope, slope / 2 - _HALF),
        "tf_half_pixel_for_nn": (slope, slope / 2),
    }.get(way)


def _resized(step: Step, trace: Trace, t: int, line: Line, taps: Taps) -> Trace:
    slope, origin = line
    phases = range(slope.denominator)
    reads = [(u, *taps(slope * u + origin)) for u in phases]
    first = min(low - slope * u for u, low, _ in reads)
    last = max(high - slope * u for u, _, high in reads)
    trace = trace.reaching(t, Reading.at(first, last - first, slope, step.out_extent(t)), step.why)
    ends = [taps(slope * (u - slope.denominator) + origin) for u in phases]
    if any(high < 0 for _, _, high in reads) or any(low >= 0 for low, _ in ends):
        note = f"{step.why} repeats the border: units there read pixels next to their window"
        return trace.with_axis(t, Axis(tuple(w.noted(note) for w in trace.axes[t].windows), trace.axes[t].merged))
    return trace
