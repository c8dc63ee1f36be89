"""What the name of an activation says of its values: their sign, and the bounds at which they saturate."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

import numpy as np

from inspector import Tap

_NOT_BELOW_ZERO: Final = frozenset({"Relu", "Sigmoid", "HardSigmoid", "Softplus"})
_APPROACHED: Final = {"Sigmoid": (0.0, 1.0), "Tanh": (-1.0, 1.0), "Softsign": (-1.0, 1.0)}
"""Bounds that values come near to and, but for rounding, never reach."""


@dataclass(frozen=True, slots=True)
class Saturation:
    """Where values of a tap count as at a bound: below `below` or above `above` (None: no bound on that side)."""

    below: float | None
    above: float | None
    where: str


def is_nonnegative(tap: Tap) -> bool:
    """True where the activation just before the tap gives no value below zero, whatever it reads."""
    name = tap.activation or ""
    low, high = _clip(name)  # a bound that is computed may be below zero, and is not >= 0
    return name in _NOT_BELOW_ZERO or (low >= 0 and high >= 0) or name.startswith("Saturation(0,")


def sign_depends_on(tap: Tap) -> str:
    """What decides whether the activation just before the tap gives values below zero, where the tap does not know it.

    Empty where it is known.
    """
    name = tap.activation or ""
    if name == "ThresholdedRelu":
        return "its alpha"
    low, high = _clip(name)
    return "bounds that are computed" if math.isnan(low) or (low >= 0 and math.isnan(high)) else ""


def saturation(tap: Tap, edge: float) -> Saturation | None:
    """The bounds of the activation just before the tap; None where it has none.

    A bound that is reached (Clip, HardSigmoid) is meant exactly, to one step of float32; one that is only approached
    (Sigmoid, Tanh, Softsign) within `edge`. Zero is no such bound where values are clipped: it is off, not saturated.
    """
    name = tap.activation or ""
    if name in _APPROACHED:
        low, high = _APPROACHED[name]
        return Saturation(low + edge, high - edge, f"within {edge:g} of {low:g} or {high:g}")
    low, high = (0.0, 1.0) if name == "HardSigmoid" else _clip(name)
    if low >= high:
        return None
    below, above = _beside(low, math.inf), _beside(high, -math.inf)
    at = [f"{bound:g}" for bound, near in ((low, below), (high, above)) if near is not None]
    return Saturation(below, above, f"at {' or '.join(at)}") if at else None


def _clip(name: str) -> tuple[float, float]:
    """Bounds of a Clip by its name, NaN for those that are only known in a run; (-inf, inf) of anything else."""
    match = re.fullmatch(r"Clip\(([^,]+),([^,]+)\)", name)
    low, high = match.groups() if match else ("-inf", "inf")
    return _bound(low), _bound(high)


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _beside(bound: float, towards: float) -> float | None:
    """The float32 next to a bound; None where the bound is 0, infinite or not known."""
    if bound == 0 or not abs(bound) <= np.finfo(np.float32).max:
        return None
    near = float(np.nextafter(np.float32(bound), np.float32(towards)))
    return near if math.isfinite(near) else None
