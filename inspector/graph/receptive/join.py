"""Branches that meet: the union of what they read, and whether they agree on where they look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from inspector.graph.receptive.trace import Axis, Extent, Loss, Shift, Trace, Window, worse

Branch = tuple[str, Trace]
"""Name of a value, and its trace."""


def join(branches: Sequence[Branch], sizes: Sequence[int | None], why: str) -> Trace:
    """The trace of what is computed elementwise from `branches`, broadcast to a tensor of `sizes` (None: free)."""
    lost: Mapping[int, Loss] = {}
    for _, trace in branches:
        lost = worse(lost, trace.lost)
    live = [(name, trace) for name, trace in branches if trace.live]
    if len(live) == 1 and len(live[0][1].axes) == len(sizes) and not _spreads(live[0][1], sizes):
        return Trace(live[0][1].axes, lost)
    axes: list[Axis] = []
    for t, size in enumerate(sizes):
        parts = [(name, trace.axes[p]) for name, trace in live if (p := t - len(sizes) + len(trace.axes)) >= 0]
        axis, losses = _join_axis(parts, size, why)
        axes.append(axis)
        lost = worse(lost, losses)
    return Trace(tuple(axes), lost)


def _spreads(trace: Trace, sizes: Sequence[int | None]) -> bool:
    """Whether one unit is used at every place of the result, along some axis."""
    return any(
        w.extent == 1 and size not in (1, None)
        for axis, size in zip(trace.axes, sizes, strict=True)
        if (w := axis.single) is not None
    )


def _join_axis(parts: Sequence[tuple[str, Axis]], size: int | None, why: str) -> tuple[Axis, Mapping[int, Loss]]:
    """One axis of the result, and what is lost by joining."""
    lost: dict[int, Loss] = {}
    by_axis: dict[int, list[tuple[str, Window]]] = {}
    wide = size != 1 if size is not None else any(w.extent != 1 for _, axis in parts for w in axis.windows)
    for name, axis in parts:
        for window in axis.windows:
            if axis.single and wide and window.extent == 1:
                lost[window.axis] = Loss(f"{why} spreads one unit of {name!r} over all places", whole=True)
            else:
                by_axis.setdefault(window.axis, []).append((name, window))
    windows: list[Window] = []
    for image_axis, found in by_axis.items():
        joined = _unite(found, size, why)
        if isinstance(joined, Loss):
            lost[image_axis] = joined
        else:
            windows.append(joined)
    merged = next((axis.merged for _, axis in parts if axis.merged), "")
    if len(windows) > 1 and not merged:
        merged = f"{why} joins branches that run along different axes of the image"
    return Axis(tuple(windows), merged if windows else ""), lost


def _unite(found: list[tuple[str, Window]], size: int | None, why: str) -> Window | Loss:
    """The smallest window that holds all of them; the largest first, because it may hold the others."""
    found.sort(key=lambda item: -item[1].length)
    name, result = found[0]
    for other, window in found[1:]:
        if window == result:
            continue
        if window.stride != result.stride:
            return Loss(
                f"misaligned: {why} joins {name!r}, a unit every {result.stride} pixels, "
                f"and {other!r}, one every {window.stride}",
                misaligned=True,
            )
        union = _union(result, window)
        if union is None:
            return Loss(f"{why} joins {name!r} and {other!r}, whose distance depends on the size of the input")
        result = _alignment(union, result, window, f"misaligned: {why} joins {name!r} and {other!r}")
    extent: Extent = result.extent if size is None else size
    return result if extent is result.extent else replace(result, extent=extent)


def _union(a: Window, b: Window) -> Window | None:
    """Of two windows with one stride, `a` the longer; None where it depends on an unknown number."""
    gap = b.start.plus(a.start, -1)
    low, high = gap.bounds()
    if low >= 0 and high + b.length <= a.length:
        return a
    if gap.unknown:
        return None
    start = min(gap.known, type(gap.known)(0))
    end = max(a.length, gap.known + b.length)
    return replace(a, start=a.start.plus(Shift(start)), length=end - start)


def _alignment(union: Window, a: Window, b: Window, text: str) -> Window:
    """Distill's rule: branches are aligned where their windows share one centre."""
    gap = b.start.plus(a.start, -1).plus(Shift((b.length - a.length) / 2))
    low, high = gap.bounds()
    apart = low > 0 or high < 0
    verdicts = (a.aligned, b.aligned, False if apart else (None if gap.unknown else True))
    aligned = False if False in verdicts else None if None in verdicts else True
    notes = [text + f", whose centres are {abs(gap.known)} pixels apart"] if apart and not gap.unknown else []
    if apart and gap.unknown:
        notes = [text + ", whose centres differ"]
    return replace(union.noted(*a.notes, *b.notes, *notes), aligned=aligned)
