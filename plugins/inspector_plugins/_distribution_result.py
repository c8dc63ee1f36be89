"""What the distribution analysis finds out about one tap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from inspector import Array, Tap

SHARES: Final = (0.01, 0.5, 0.99)
"""Which quantiles are shown."""


@dataclass(frozen=True, slots=True, eq=False)
class TapDistribution:
    """The result for one tap; arrays are (C,), quantiles (3, C), NaN where no finite map was seen.

    `finite` counts the maps without NaN and Inf. `mean`, `deviation` and `means` are of the maps' means over inputs,
    `peaks` of their largest elements. `bound` says where elements count as saturated; empty where nothing is bounded,
    and then `at_bound` is NaN.
    """

    tap: Tap
    inputs: int
    finite: Array
    mean: Array
    deviation: Array
    means: Array
    peaks: Array
    score: Array
    dormant: Array
    bound: str
    at_bound: Array
    saturated: Array
    unvarying: Array

    @property
    def not_finite(self) -> Array:
        """(C,) True where some map held NaN or Inf."""
        whole: Array = self.finite < self.inputs
        return whole
