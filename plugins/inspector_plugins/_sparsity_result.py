"""What the sparsity analysis finds out about one tap."""

from __future__ import annotations

from dataclasses import dataclass

from inspector import Array, Tap, Zeros


@dataclass(frozen=True, slots=True, eq=False)
class LayerSparsity:
    """The result for one tap; every array is (C,), NaN where no finite map was seen.

    `finite` counts the maps without NaN and Inf, `active` those of them that are not zero everywhere.

    `silent` is (K, C) for the inputs `ids`. `rare`: fired, but in a smaller share of inputs than asked for.
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
    ids: tuple[str, ...]
    silent: Array

    @property
    def exact(self) -> bool:
        """True where zeros mean "off"."""
        return self.tap.zeros is Zeros.EXACT
