"""Activations as functions of one number, and which of them a function is.

A function is known by its values on `GRID`. Forms with a parameter are fitted: the parameter is read off one or two
points, and all the others have to agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from inspector.contract import Array
from inspector.graph.activations import clip_name

_DENSE: Final = np.linspace(-12, 12, 193)
"""Every eighth; the thresholds of all known forms lie on or between these points."""
_FAR: Final = np.array([16.0, 24, 48, 1e3, 1e4, 2e4])
GRID: Final[Array] = np.concatenate([-_FAR[::-1], _DENSE, _FAR])
"""Where functions are compared, ascending: dense around 0, and far out, where bounds show themselves."""
_NEAR: Final = np.abs(GRID) <= 48
"""Where a function has to be finite: further out, exponentials overflow that no input reaches."""
_MIDDLE: Final = np.abs(GRID) <= 4
"""Where zeros are looked at: further out, `1 + tanh` rounds to 0."""
_RELATIVE: Final = 1e-3
"""GELU by erf and by tanh differ by a tenth at -3; 1/6 as an exporter rounds it, by 1e-4 at most."""
_ABSOLUTE: Final = 1e-6


def name(values: Array) -> str | None:
    """The name of the function with these values on `GRID`, or None. Constants and affine functions have none."""
    if values.dtype == np.bool_ or not np.isfinite(values[_NEAR]).all():
        return None
    return next((label for label, expected in _forms(values) if _same(values, expected)), None)


def gives_zeros(values: Array) -> bool:
    """True where the function is exactly 0 on an interval, and not everywhere: then a zero says that a unit is off."""
    zero = values[_MIDDLE] == 0
    return bool((zero[1:] & zero[:-1]).any() and not zero.all())


def _same(values: Array, expected: Array) -> bool:
    """Equal up to rounding, and exactly 0 wherever the form is."""
    seen = np.isfinite(values)
    values, expected, middle = values[seen], expected[seen], _MIDDLE[seen]
    close = np.abs(values - expected) <= _ABSOLUTE + _RELATIVE * np.abs(expected)
    return bool(close.all()) and not values[(expected == 0) & middle].any()


def _at(values: Array, x: float) -> float:
    return float(values[np.searchsorted(GRID, x)])


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(x / 2))


def _elu(x: Array, scale: float, alpha: float) -> Array:
    return np.maximum(x, 0) + scale * np.expm1(np.minimum(x, 0) / alpha)


_X: Final = GRID
_ERF: Final = np.array([math.erf(x / math.sqrt(2)) for x in GRID])
FIXED: Final[dict[str, Array]] = {
    "Relu": np.maximum(_X, 0),
    "SiLU": _X * _sigmoid(_X),
    "QuickGELU": _X * _sigmoid(1.702 * _X),
    "GELU": _X * 0.5 * (1 + _ERF),
    "GELU(tanh)": _X * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (_X + 0.044715 * _X**3))),
    "HardSwish": _X * np.clip(_X / 6 + 0.5, 0, 1),
    "Mish": _X * np.tanh(np.logaddexp(0, _X)),
    "Sigmoid": _sigmoid(_X),
    "Tanh": np.tanh(_X),
    "Softplus": np.logaddexp(0, _X),
    "LogSigmoid": -np.logaddexp(0, -_X),
    "Softsign": _X / (1 + np.abs(_X)),
    "Selu": 1.0507009873554805 * _elu(_X, 1.6732632423543772, 1.0),
}
"""Forms without a parameter."""


def _clip(f: Array) -> tuple[str, Array]:
    low, high = float(f[0]), float(f[-1])
    flat = (low <= GRID[0] or low == f[1]) and (high >= GRID[-1] or high == f[-2])  # a bound leaks nothing
    if not (flat and -np.inf < low < high < np.inf):
        return "Clip", np.full_like(_X, np.nan)
    label = clip_name(-np.inf if low <= GRID[0] else _round(low), np.inf if high >= GRID[-1] else _round(high))
    return label, np.clip(_X, low, high)


def _round(bound: float) -> float:
    return float(f"{bound:.6g}")


def _leaky(f: Array) -> tuple[str, Array]:
    slope = max(-_at(f, -1.0), 0.0)  # below 0 it would be a |x| of some kind
    return "LeakyRelu", np.where(_X < 0, slope * _X, _X)


def _elu_form(f: Array) -> tuple[str, Array]:
    return "Elu", _elu(_X, -_at(f, -48.0), 1.0)


def _celu(f: Array) -> tuple[str, Array]:
    alpha = -_at(f, -48.0)
    return "Celu", _elu(_X, alpha, alpha) if alpha > 0 else np.full_like(_X, np.nan)


def _hard_sigmoid(f: Array) -> tuple[str, Array]:
    slope, offset = (_at(f, 0.125) - _at(f, -0.125)) / 0.25, _at(f, 0.0)
    return "HardSigmoid", np.clip(slope * _X + offset, 0, 1)


def _gated(f: Array) -> tuple[str, Array]:
    """The gate clip(a x + b, 0, 1) on x, as from a HardSigmoid that is not HardSwish's."""
    offset = (_at(f, 0.125) - _at(f, -0.125)) / 0.25
    slope = (_at(f, 0.125) + _at(f, -0.125)) / 2 / 0.125**2
    return "x*HardSigmoid", _X * np.clip(slope * _X + offset, 0, 1)


def _swish(f: Array) -> tuple[str, Array]:
    gate = _at(f, 1.0)
    beta = math.log(gate / (1 - gate)) if 0.5 < gate < 1 else 0.0
    return "Swish", _X * _sigmoid(beta * _X)


def _thresholded(f: Array) -> tuple[str, Array]:
    return "ThresholdedRelu", np.where((_X > 0) & (f != 0), _X, 0)


def _shrink(f: Array) -> tuple[str, Array]:
    """x, drawn towards 0 by some bias, and 0 in an interval around 0."""
    bias = 48.0 - _at(f, 48.0)
    shrunk = np.where(f != 0, _X - np.sign(_X) * bias, 0)
    return "Shrink", np.where(np.sign(f) == -np.sign(f[::-1]), shrunk, np.nan)


_FITTED: Final[tuple[Callable[[Array], tuple[str, Array]], ...]] = (
    _clip,
    _leaky,
    _hard_sigmoid,
    _gated,
    _swish,
    _thresholded,
    _shrink,
    _elu_form,
    _celu,
)


def _forms(values: Array) -> Iterator[tuple[str, Array]]:
    """Every form, fitted to the values where it has a parameter. Straight lines fit several, and are none of them."""
    yield from FIXED.items()
    middle = values[_NEAR]
    if np.ptp(np.diff(middle) / np.diff(GRID[_NEAR])) <= _RELATIVE * np.abs(middle).max(initial=0.0) / 48:
        return
    for form in _FITTED:
        yield form(values)
