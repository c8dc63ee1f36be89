"""Numbers as people read them: short text, columns that line up, round ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeGuard

import numpy as np

from inspector.contract import Cell

DASH = "\N{EN DASH}"
"""How a missing number is written."""

_DIGITS, _EXACT, _LONG = 4, 17, 10_000
_MOST = 12


def number(value: float) -> str:
    """A number alone, four digits significant: `0.1235`, `12,345`, `1.2e-7`.

    Whole numbers are never rounded, and small fractions never rounded to whole ones: 0.99999 is not 1.
    """
    if isinstance(value, int | np.integer):
        return _digits(int(value), 0, group=abs(int(value)) >= _LONG)
    value = float(value)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Inf" if value > 0 else "-Inf")
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 10**6:
        return _short_exponent(f"{value:.{_DIGITS - 1}e}")
    decimals = _honest(value, max(0, _DIGITS - 1 - _exponent(value)))
    return _trimmed(_digits(value, decimals, group=abs(value) >= _LONG))


def brief(value: float) -> str:
    """A number alone, three digits significant and no more, where there is little room."""
    return number(float(f"{float(value):.3g}"))


def told_apart(low: float, high: float) -> tuple[str, str]:
    """Two different numbers as `brief` has them, or with as many digits as they need not to look alike."""
    texts, digits = (brief(low), brief(high)), _DIGITS
    while texts[0] == texts[1] and digits <= _EXACT:
        texts, digits = (f"{low:.{digits}g}", f"{high:.{digits}g}"), digits + 1
    return texts


def listed(noun: str, numbers: Sequence[int]) -> str:
    """`channel 3`, `channels 3, 4`, and of many the first twelve with how many there are; empty where there is none."""
    shown = ", ".join(map(str, numbers[:_MOST]))
    more = f", … ({len(numbers):,} in all)" if len(numbers) > _MOST else ""
    return f"{noun}{'s' * (len(numbers) != 1)} {shown}{more}" if numbers else ""


def cell(value: Cell) -> str:
    """One table cell as text: None is a dash, truth is yes or no."""
    if value is None:
        return DASH
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return value if isinstance(value, str) else number(value)


def column(cells: Sequence[Cell]) -> list[str]:
    """A table's column as texts. Fractions share their number of decimals, so that right-aligned they line up."""
    finite = [c for c in cells if _is_number(c) and math.isfinite(c)]
    decimals = _decimals([float(c) for c in finite if not isinstance(c, int | np.integer)])
    if decimals is None:
        return [cell(c) for c in cells]
    group = any(abs(c) >= _LONG for c in finite)
    return [_in_column(c, decimals, group=group) for c in cells]


def is_numeric(cells: Sequence[Cell]) -> bool:
    """True for a column of numbers (dashes allowed): it is aligned to the right."""
    present = [c for c in cells if c is not None]
    return bool(present) and not any(isinstance(c, str | bool | np.bool_) for c in present)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from low to high, `most` of them or fewer."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low] if math.isfinite(low) else []
    base, power = _round_step(span / max(1, most))
    places = _multiples(low, high, base, power)
    if len(places) > most:
        base, power = _round_step(span / max(1, most) * 1.01)
        places = _multiples(low, high, base, power)
    return [i * base * 10**power if power >= 0 else i * base / 10**-power for i in places]


def tick_texts(values: Sequence[float]) -> list[str]:
    """Evenly spaced numbers as texts with as many decimals as tell them apart, and no more."""
    if len(values) < 2:
        return [number(v) for v in values]
    size, step = _exponent(max(abs(v) for v in values)), _exponent((values[1] - values[0]) * (1 + 1e-9))
    if -4 <= size < 6 and step > -8:
        return [_digits(v, max(0, -step), group=size >= 4) for v in values]
    return ["0" if v == 0 else _short_exponent(f"{v:.{min(16, max(0, size - step))}e}") for v in values]


def thinned(count: int, pitch: float, extent: float) -> range:
    """Which of `count` labels to draw, so that none touches the next: every 1st, 2nd, 5th, 10th, ….

    Args:
        count: labels there are.
        pitch: distance between the centres of two neighbours, in pixels, above 0.
        extent: what one label needs along the axis, in pixels, gap included.
    """
    need = max(1.0, extent / pitch)
    base, power = _round_step(need)
    return range(0, count, base * 10**power)


def _round_step(least: float) -> tuple[int, int]:
    """The smallest of …, 1, 2, 5, 10, 20, 50, … that is no smaller: 1, 2 or 5, and the power of ten it is times."""
    power = math.floor(math.log10(least))
    candidates = ((base, power + more) for more in (0, 1) for base in (1, 2, 5))
    return next((b, p) for b, p in candidates if float(f"{b}e{p}") >= least * (1 - 1e-12))


def _multiples(low: float, high: float, base: int, power: int) -> range:
    """Which multiples of base · 10^power lie from low to high."""
    step = float(f"{base}e{power}")
    return range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)


def _exponent(value: float) -> int:
    return math.floor(math.log10(abs(value)))


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _short_exponent(text: str) -> str:
    mantissa, exponent = text.split("e")
    return f"{_trimmed(mantissa)}e{int(exponent)}" if int(exponent) else _trimmed(mantissa)


def _decimals(values: Sequence[float]) -> int | None:
    """Decimals that give the largest number four significant digits and the smallest at least two; None: no such."""
    sizes = [abs(v) for v in values if v]
    if not sizes:
        return 0
    large, small = _exponent(max(sizes)), _exponent(min(sizes))
    needed = max(_DIGITS - 1 - large, 1 - small, 0)
    if needed > 6 or large >= 6:
        return None
    decimals = min(needed, max(map(_places, values)))
    return max(_honest(v, decimals) for v in values)


def _honest(value: float, decimals: int) -> int:
    """So many decimals, or more, seven at most, where a fraction would look like a whole number otherwise."""
    if value == round(value) or abs(value) >= 100:
        return decimals
    return next((d for d in range(decimals, 8) if float(f"{value:.{d}f}") != round(value)), decimals)


def _places(value: float) -> int:
    """Decimals after which nothing but zeros follows, seven at most."""
    text = f"{value:.7f}".rstrip("0")
    return len(text) - text.index(".") - 1


def _in_column(value: Cell, decimals: int, *, group: bool) -> str:
    if not (_is_number(value) and math.isfinite(value)):
        return cell(value)
    return _digits(value, 0 if isinstance(value, int | np.integer) else decimals, group=group)


def _is_number(value: Cell) -> TypeGuard[float]:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _digits(value: float, decimals: int, *, group: bool) -> str:
    """The number, which may be a negative zero, without the sign of one."""
    value = value or 0
    return f"{value:,.{decimals}f}" if group else f"{value:.{decimals}f}"
