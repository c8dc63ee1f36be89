"""One number per channel of many taps, as one picture."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from inspector import Array, Heatmap, Scale, Tap

_MOST = 2400
"""Channels that a row shows: of a larger matrix neighbours would be averaged, and no channel would have the number."""
_WIDTH = "How wide a colour is says how many of a tap's channels have it."


def ranked(  # noqa: PLR0917 - in the order in which they are seen
    title: str, of: Mapping[Tap, Array], scale: Scale, order: str, meanings: Mapping[float, str], caption: str = ""
) -> Heatmap:
    """A row per tap: its channels by rank, stretched to the width of the tap with the most, so that no layer is lost.

    Args:
        title: of the picture.
        of: (C,) numbers of each tap, one tap at least; NaN is the last rank.
        scale: of these numbers.
        order: what the ranks go from and to.
        meanings: of numbers that stand for something of their own; what NaN is, is known here.
        caption: what else is to be said.
    """
    most = max(tap.channels for tap in of)
    widest, steps = min(most, _MOST), f"Of more than {_MOST:,} channels, so many are shown, in even steps."
    meanings = {**meanings, np.nan: "no finite map"}
    return Heatmap(
        title,
        np.stack([_stretched(np.sort(values), widest, meanings) for values in of.values()]),
        scale,
        row_axis="tap (channels)",
        column_axis=f"all channels of the tap, from the {order}",
        row_labels=tuple(f"{tap.name} ({tap.channels})" for tap in of),
        column_labels=("",) * widest,
        caption=" ".join(filter(None, [caption, _WIDTH, steps * (most > widest)])),
        meanings=tuple(meanings.items()),
    )


def _stretched(values: Array, width: int, marks: Collection[float]) -> Array:
    """(width,) of sorted values, each as often as the next; of too many, even steps and all marks."""
    if len(values) <= width:
        return np.asarray(values[np.arange(width) * len(values) // width])
    kept = [at for mark in marks if (at := np.searchsorted(values, mark)) < len(values) and _same(values[at], mark)]
    even = np.linspace(0, len(values) - 1, width - len(kept)).astype(int)
    return np.asarray(values[np.sort([*even, *kept])])


def _same(one: float, other: float) -> bool:
    return bool(one == other or (np.isnan(one) and np.isnan(other)))
