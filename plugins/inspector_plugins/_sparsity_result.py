"""What the sparsity analysis finds out about one tap."""

from __future__ import annotations

from dataclasses import dataclass

from inspector import Array, Earliest, First, Tap, Zeros


@dataclass(frozen=True, slots=True, eq=False)
class LayerSparsity:
    """The result for one tap; every array is (C,), NaN where no finite map was seen.

    `finite` counts the maps without NaN and Inf, `active` those of them that are not zero everywhere. `inputs` reached
    the tap; `silent.values` has (C,) for each of the first inputs that did. `rare`: fired, but in a smaller share of
    inputs than asked for. `broken` is the first input, per channel, whose map was not finite.
    """

    tap: Tap
    inputs: int
    finite: Array
    zero_fraction: Array
    active: Array
    peak: Array
    low: Array
    mean: Array
    dead: Array
    structurally_dead: Array
    rare: Array
    never_zero: Array
    constant: Array
    not_finite: Array
    silent: First
    broken: Earliest

    @property
    def exact(self) -> bool:
        """True where zeros mean "off"."""
        return self.tap.zeros is Zeros.EXACT
