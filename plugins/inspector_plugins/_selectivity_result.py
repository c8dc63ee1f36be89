"""What the selectivity analysis finds out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from inspector import Array, Tap


@dataclass(frozen=True, slots=True, eq=False)
class TapSelectivity:
    """The result for one tap.

    Attributes:
        classes: L names, ascending. inputs: (L,) inputs of each. unlabelled: inputs of no known class.
        activity: (L, C) mean over a class's inputs of the maps' means; not finite where a map was not.
        index: (C,) selectivity, 0 to 1; NaN where there is none.
        best: (C,) the class with the highest activity, as a position in `classes`; the first of equal ones.
    """

    tap: Tap
    classes: tuple[str, ...]
    inputs: Array
    unlabelled: int
    activity: Array
    index: Array
    best: Array

    @classmethod
    def of(cls, tap: Tap, classes: Sequence[str], inputs: Array, unlabelled: int, sums: Array) -> TapSelectivity:
        """From sums (L, C) of the maps' means, L at least 2; every class weighs the same, whatever its size."""
        activity = sums / inputs[:, None]
        safe = np.where(np.isfinite(activity).all(0), activity, 0.0)  # then 0/0, as for a channel that is off
        most = safe.max(0)
        others = (safe.sum(0) - most) / (len(classes) - 1)
        total = most + others
        index = np.divide(most - others, total, out=np.full(total.shape, np.nan), where=total > 0)
        return cls(tap, tuple(classes), inputs, unlabelled, activity, index, safe.argmax(0))


@dataclass(frozen=True, slots=True, eq=False)
class Selectivities:
    """All taps, in layer order, and why the others have none."""

    taps: Sequence[TapSelectivity]
    left_out: Mapping[Tap, str]
