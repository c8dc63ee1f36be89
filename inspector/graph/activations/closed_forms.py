"""Activations as functions of one number, and which of them a function is.

A function is known by its values on a grid. Forms with a parameter are fitted: the parameter is read off the values,
and all of them have to agree with the form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from inspector.contract import Array
from inspector.graph.activations.grids import Grid
from inspector.graph.activations.operators import clip_name

Function = Callable[[Array], Array]

_RELATIVE: Final = 1e-3
"""GELU by erf and by tanh differ by a tenth at -3; 1/6 as an exporter rounds it, by 1e-4 at most."""
_ABSOLUTE: Final = 1e-6
_RISEN: Final = 1e-2
"""What a function has reached within 1 of where it is cut. GELU has not, within 1 of where float32 makes it 0."""


@dataclass(frozen=True, slots=True)
class Form:
    """A formula with a name; `clips`: with which bounds, where it is nothing but clipping."""

    name: str
    function: Function
    clips: tuple[float, float] | None = None


def form(grid: Grid, values: Array) -> Form | None:
    """The form of the function with these values, or None. Constants and affine functions have none."""
    if values.dtype == np.bool_ or not np.isfinite(values[grid.near]).all():
        return None
    return next((f for f in _forms(grid, values) if _is_same(grid, values, f.function)), None)


def gives_zeros(grid: Grid, values: Array) -> bool:
    """True where the function is exactly 0 on an interval, and not everywhere: then a zero says that a unit is off."""
    zero = values[grid.middle & (np.abs(grid.x) >= _ABSOLUTE)] == 0  # nearer to 0, x + 1 - 1 is 0 by rounding
    return bool(values.any() and ((zero[1:] & zero[:-1]).any() or _is_cut_further_out(grid, values)))


def _is_cut_further_out(grid: Grid, values: Array) -> bool:
    """Whether an interval of zeros ends where the function rises: one of GELU or SiLU only fades away beyond it."""
    x, zero = grid.x, (values == 0) & ~grid.middle & grid.near
    with np.errstate(invalid="ignore"):
        risen = np.abs(values) > _RISEN
    for last in np.flatnonzero(zero[1:] & zero[:-1]) + 1:
        low, high = x[last - 1], x[last]
        beside = ((x > high) & (x <= high + 1)) | ((x < low) & (x >= low - 1))
        if risen[beside].any():
            return True
    return False


def _is_same(grid: Grid, values: Array, function: Function) -> bool:
    """Equal up to rounding, of the same sign, and exactly 0 wherever the form is and stays it a little further on."""
    expected, seen = function(grid.x), np.isfinite(values)
    with np.errstate(invalid="ignore", over="ignore"):
        close = np.abs(values - expected) <= _ABSOLUTE + _RELATIVE * np.abs(expected)
        same_sign = np.sign(values) * np.sign(expected) >= 0
    if not (close & same_sign)[seen].all():
        return False
    zero = expected == 0
    if not values[zero & seen].any():
        return True
    for beside in (1 - _RELATIVE, 1 + _RELATIVE):
        zero &= function(grid.x * beside) == 0
    is_cut = zero[grid.middle & (grid.x != 0)].any()  # what rounds to 0 does so further out
    return not values[(zero if is_cut else zero & grid.middle) & seen].any()


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(x / 2))


def _elu(x: Array, scale: float, alpha: float) -> Array:
    return np.maximum(x, 0) + scale * np.expm1(np.minimum(x, 0) / alpha)


def _erf(x: Array) -> Array:
    return np.array([math.erf(v) for v in x])


FIXED: Final[dict[str, Function]] = {
    "Relu": lambda x: np.maximum(x, 0),
    "SiLU": lambda x: x * _sigmoid(x),
    "QuickGELU": lambda x: x * _sigmoid(1.702 * x),
    "GELU": lambda x: x * 0.5 * (1 + _erf(x / math.sqrt(2))),
    "GELU(tanh)": lambda x: x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "HardSwish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "Mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "Sigmoid": _sigmoid,
    "Tanh": np.tanh,
    "Softplus": lambda x: np.logaddexp(0, x),
    "LogSigmoid": lambda x: -np.logaddexp(0, -x),
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "Selu": lambda x: 1.0507009873554805 * _elu(x, 1.6732632423543772, 1.0),
}
"""Forms without a parameter."""


class _Fit:
    """Reads parameters off the values of a function."""

    def __init__(self, grid: Grid, values: Array) -> None:
        self.x, self.values = grid.x, values

    def at(self, x: float) -> float:
        """At a point that every grid has."""
        return float(self.values[np.searchsorted(self.x, x)])

    def last_zero(self, x: Array) -> float:
        """The largest x, but for 0 itself, where the function is 0; 0 where there is none."""
        zero = x[(self.values == 0) & (self.x != 0)]
        return float(zero.max()) if zero.size else 0.0


def _clip(fit: _Fit) -> Form | None:
    x, f = fit.x, fit.values
    low, high = float(f[0]), float(f[-1])
    open_below, open_above = low <= x[0], high >= x[-1]
    flat = (open_below or low == f[1]) and (open_above or high == f[-2])  # a bound leaks nothing
    if not (flat and -np.inf < low < high < np.inf and low == np.nanmin(f) and high == np.nanmax(f)):
        return None
    bounds = -np.inf if open_below else low, np.inf if open_above else high
    return Form(clip_name(*bounds), lambda x: np.clip(x, *bounds), bounds)


def _leaky(fit: _Fit) -> Form:
    slope = max(-fit.at(-1.0), 0.0)  # below 0 it would be a |x| of some kind
    return Form("LeakyRelu", lambda x: np.where(x < 0, slope * x, x))


def sloped(grid: Grid, values: Array) -> Form | None:
    """A PRelu by one of its slopes, of any sign: also a line or a rectifier."""
    if not np.isfinite(values[grid.near]).all():
        return None
    slope = -_Fit(grid, values).at(-1.0)
    form = Form("PRelu", lambda x: np.where(x < 0, slope * x, x))
    return form if _is_same(grid, values, form.function) else None


def _elu_form(fit: _Fit) -> Form:
    scale = -fit.at(-48.0)
    return Form("Elu", lambda x: _elu(x, scale, 1.0))


def _celu(fit: _Fit) -> Form | None:
    alpha = -fit.at(-48.0)
    return Form("Celu", lambda x: _elu(x, alpha, alpha)) if alpha > 0 else None


def _hard_sigmoid(fit: _Fit) -> Form:
    slope, offset = (fit.at(0.125) - fit.at(-0.125)) / 0.25, fit.at(0.0)
    return Form("HardSigmoid", lambda x: np.clip(slope * x + offset, 0, 1))


def _gated(fit: _Fit) -> Form:
    """The gate clip(a x + b, 0, 1) on x, as from a HardSigmoid that is not HardSwish's."""
    offset = (fit.at(0.125) - fit.at(-0.125)) / 0.25
    slope = (fit.at(0.125) + fit.at(-0.125)) / 2 / 0.125**2
    return Form("x*HardSigmoid", lambda x: x * np.clip(slope * x + offset, 0, 1))


def _swish(fit: _Fit) -> Form:
    gate = fit.at(1.0)
    beta = math.log(gate / (1 - gate)) if 0.5 < gate < 1 else 0.0
    return Form("Swish", lambda x: x * _sigmoid(beta * x))


def _thresholded(fit: _Fit) -> Form:
    """x, where it is above a threshold of either sign."""
    threshold = fit.last_zero(fit.x)
    return Form("ThresholdedRelu", lambda x: np.where(x > threshold, x, 0))


def _shrink(fit: _Fit) -> Form:
    """x, drawn towards 0 by some bias, and 0 in an interval around 0."""
    bias, threshold = 48.0 - fit.at(48.0), fit.last_zero(np.abs(fit.x))
    return Form("Shrink", lambda x: np.where(np.abs(x) > threshold, x - np.sign(x) * bias, 0))


_FITTED: Final[tuple[Callable[[_Fit], Form | None], ...]] = (
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


def _forms(grid: Grid, values: Array) -> Iterator[Form]:
    """Every form, fitted to the values where it has a parameter. Straight lines fit several, and are none of them."""
    yield from (Form(name, function) for name, function in FIXED.items())
    seen = grid.coarse & np.isfinite(values)
    slopes = np.diff(values[seen]) / np.diff(grid.x[seen])
    if np.ptp(slopes) <= _RELATIVE * np.abs(slopes).max(initial=0.0):
        return
    fit = _Fit(grid, values)
    yield from (found for fitted in _FITTED if (found := fitted(fit)) is not None)
