"""Receptive fields through Reshape and Flatten: which axes provably survive.

Row-major order makes groups: a run of axes before and a run of axes after with equal products hold the same elements,
and everything outside of the two runs is untouched. One axis against one survives. An outer axis merged with inner
ones that do not run along the image is an enlargement; one axis cut into many is a reduction, with the places inside
of a unit on the inner axes. Anything else is lost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from inspector.graph.receptive.step import Dims, Step, dims
from inspector.graph.receptive.trace import NOWHERE, Axis, Reading, Trace

MAX_RANK = 16
"""Tensors of a higher rank are not followed."""
Group = tuple[list[int], list[int]]
"""Axes before and axes after, both in order, that hold the same elements."""


def flatten(step: Step) -> Trace:
    """Two axes: everything before `axis`, and everything from there on."""
    rank = len(step.trace.axes)
    axis = step.number("axis", 1)
    axis += rank * (axis < 0)
    return _regroup(step, [(list(range(axis)), [0]), (list(range(axis, rank)), [1])], 2)


def reshape(step: Step) -> Trace:
    """The same elements under another shape."""
    before, after = _before(step), _after(step)
    if before is None or after is None or len(after) > MAX_RANK:
        return step.trace.losing(range(len(step.trace.axes)), f"the shape that {step.why} makes is not known")
    return _regroup(step, groups(before, after), len(after))


def _before(step: Step) -> Dims | None:
    shape = step.dims(0)
    return None if shape is None else tuple(_token(d, i) for i, d in enumerate(shape))


def _after(step: Step) -> Dims | None:
    """The new shape: as inferred, and as the target says where that says more (0 copies a size)."""
    inferred, before = dims(step.node.outputs[0]), _before(step) or ()
    target = step.listed("shape", 1)
    if target is None:
        return None if inferred is None else tuple(_named(d) for d in inferred)
    copies = not step.number("allowzero", 0)
    known = inferred if inferred is not None and len(inferred) == len(target) else (None,) * len(target)
    new: list[int | str | None] = []
    for i, (wanted, found) in enumerate(zip(target, known, strict=True)):
        if wanted == 0 and copies and i < len(before):
            new.append(before[i])
        else:
            new.append(wanted if wanted > 0 else _named(found))
    return tuple(new)


def _named(dim: int | str | None) -> int | str | None:
    """A free size is the same wherever it has the same name."""
    return dim if isinstance(dim, int) or dim is None else f"={dim}"


def _token(dim: int | str | None, i: int) -> int | str:
    return f"#{i}" if dim is None else _named(dim) or f"#{i}"


def groups(before: Dims, after: Dims) -> list[Group]:
    """The finest groups that can be proved, from both ends; what is left in the middle is one group."""
    tail: list[Group] = []
    left, right = list(range(len(before))), list(range(len(after)))
    while (group := _take(before, after, left[::-1], right[::-1])) is not None:
        left, right = left[: len(left) - len(group[0])], right[: len(right) - len(group[1])]
        tail.insert(0, (group[0][::-1], group[1][::-1]))
    head: list[Group] = []
    while (group := _take(before, after, left, right)) is not None:
        left, right = left[len(group[0]) :], right[len(group[1]) :]
        head.append(group)
    return [*head, *([(left, right)] if left or right else []), *tail]


def _take(before: Dims, after: Dims, left: Sequence[int], right: Sequence[int]) -> Group | None:
    """The shortest runs from the front of `left` and of `right` with equal products; None where none is provable."""
    if not left or not right:
        return None
    if before[left[0]] == after[right[0]]:
        return [left[0]], [right[0]]
    i = j = 0
    a = b = 1
    while True:
        if a <= b and i < len(left):
            size, i = before[left[i]], i + 1
            if not isinstance(size, int):
                return None
            a *= size
        elif j < len(right):
            size, j = after[right[j]], j + 1
            if not isinstance(size, int):
                return None
            b *= size
        else:
            return None
        if a == b and i and j and a > 0:
            return list(left[:i]), list(right[:j])


def _regroup(step: Step, found: Sequence[Group], rank: int) -> Trace:
    trace = step.trace
    axes = [NOWHERE] * rank
    for left, right in found:
        trace, kept = _group(step, trace, left, right)
        for t, axis in kept.items():
            axes[t] = axis
    return Trace(tuple(axes), trace.lost)


def _group(step: Step, trace: Trace, left: list[int], right: list[int]) -> tuple[Trace, dict[int, Axis]]:
    """What is lost, and the axes after that still run along the image."""
    if len(left) == len(right) == 1:
        return trace, {right[0]: trace.axes[left[0]]}
    inner = [t for t in left if step.size(0, t) != 1]
    trace = trace.dropping([t for t in left if t not in inner], step.why)
    running = [t for t in inner if trace.axes[t].windows]
    outer = [t for t in right if step.out_size(t) != 1] if len(right) > 1 else right
    if not running:
        return trace, {}
    if len(outer) == 1:
        return trace, {outer[0]: trace.axes[inner[0]] if len(inner) == 1 else _merged(step, trace, inner, outer[0])}
    if len(inner) == 1 and outer:
        trace = _cut(step, trace, inner[0], outer)
        return trace, {outer[0]: trace.axes[inner[0]]}
    return trace.losing(running, f"{step.why} rearranges what runs along the image"), {}


def _merged(step: Step, trace: Trace, inner: Sequence[int], outer: int) -> Axis:
    """Axes merged into one: still a map where only the outermost runs along the image, and all sizes are known."""
    sizes = [step.size(0, t) for t in inner[1:]]
    rest = math.prod(s for s in sizes if s is not None)
    alone = trace.axes[inner[0]].single is not None and not any(trace.axes[t].windows for t in inner[1:])
    if alone and rest and None not in sizes:
        part = Fraction(rest - 1, rest)
        window = trace.reaching(inner[0], Reading.at(-part, part, Fraction(1, rest), step.out_extent(outer)), step.why)
        return window.axes[inner[0]]
    return Axis(tuple(w for t in inner for w in trace.axes[t].windows), f"{step.why} merges axes")


def _cut(step: Step, trace: Trace, t: int, outer: Sequence[int]) -> Trace:
    """One axis cut into several: a unit of the outermost holds a run of units."""
    sizes = [step.out_size(o) for o in outer[1:]]
    if None in sizes or trace.axes[t].single is None:
        return trace.losing([t], f"{step.why} rearranges what runs along the image")
    run = math.prod(s for s in sizes if s is not None)
    return trace.reaching(t, Reading.at(0, run - 1, run, step.out_extent(outer[0])), step.why)
