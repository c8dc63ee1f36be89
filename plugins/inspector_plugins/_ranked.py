"""One number per channel of many taps, as one picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from inspector import Array, Heatmap, Scale, Tap


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
    widest = max(tap.channels for tap in of)
    ranks = np.arange(widest)
    return Heatmap(
        title,
        np.stack([np.sort(values)[ranks * len(values) // widest] for values in of.values()]),
        scale,
        row_axis="tap (channels)",
        column_axis=f"all channels of the tap, from the {order}",
        row_labels=tuple(f"{tap.name} ({tap.channels})" for tap in of),
        column_labels=("",) * widest,
        caption=f"{caption} How wide a colour is says how many of a tap's channels have it.".strip(),
        meanings=(*meanings.items(), (np.nan, "no finite map")),
    )
