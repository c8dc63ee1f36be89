"""Maps, and what is fed like them, as pictures with scales of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from inspector import Array, Picture, Scale, ScaleKind, Tap, Zeros
from inspector_plugins._drawable import multiples, peak_of, power_of, slices_of, unit_of
from inspector_plugins._wording import listed


def kind_of(sets: Iterable[Array]) -> ScaleKind:
    """The colours of all maps of a tap, whatever channel or input: signed where a finite value is below 0."""
    below = any(np.any(np.isfinite(real) & (real < 0)) for real in (maps.astype(np.float64) for maps in sets))
    return ScaleKind.SIGNED if below else ScaleKind.SEQUENTIAL


def pictures_of(tap: Tap, channel: int, values: Array, places: Sequence[int], kind: ScaleKind) -> list[Picture]:
    """A map (*space) as a picture, or as these of its slices; scale and mark are those of the whole map."""
    real = values.astype(np.float64)
    finite = real[np.isfinite(real)]
    silent = tap.zeros is Zeros.EXACT and not np.any(values)
    mark = "silent" if silent else ("" if finite.size == real.size else "not finite")
    power, slices = power_of(peak_of(real)), slices_of(real)
    most = peak_of(multiples(finite, power))
    scale = Scale(kind, -most if kind is ScaleKind.SIGNED else 0.0, most, unit_of("", power))
    return [
        Picture(multiples(slices[z], power), str(channel) + f" z={z}" * (len(slices) > 1), mark, scale) for z in places
    ]


def spread_out(depth: int, most: int) -> tuple[int, ...]:
    """Which slices are drawn: all, or `most` of them as far apart as they can be, the first and the last among them."""
    if depth <= most:
        return tuple(range(depth))
    return tuple(round(float(z)) for z in np.linspace(0, depth - 1, most))


def slices_drawn(depth: int, places: Sequence[int]) -> str:
    """Which of so many slices are drawn, in words."""
    some = f"z = {listed(places)} of {depth:,} are drawn, the others are left out"
    return f"all {depth:,} are drawn" if len(places) == depth else some
