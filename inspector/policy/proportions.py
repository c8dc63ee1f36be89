"""Whether two counted shares differ by more than chance.

Where the normal approximation is good (all four expected counts at least 5, Cochran 1954), the pooled two-proportion
score test, whose square is Pearson's chi-squared without continuity correction; elsewhere Fisher's exact test,
two-sided: the sum over all tables that are no more probable than the one seen.
"""

from __future__ import annotations

import math
from typing import Final

ENOUGH: Final = 5.0
"""Least expected count for the normal approximation."""
_TIE: Final = 1e-9
"""Relative slack within which two tables are equally probable."""


def p_value(first: int, of_first: int, second: int, of_second: int) -> float:
    """Two-sided p of `first` out of `of_first` against `second` out of `of_second`, 0 to 1; 1 where nothing was seen.

    Raises:
        ValueError: a count is negative or larger than what it is out of.
    """
    if not (0 <= first <= of_first and 0 <= second <= of_second):
        raise ValueError(f"no shares: {first} of {of_first}, {second} of {of_second}")
    total, hits = of_first + of_second, first + second
    if not of_first or not of_second or hits in {0, total}:
        return 1.0
    if min(hits, total - hits) * min(of_first, of_second) / total < ENOUGH:
        return _fisher(first, of_first, hits, total)
    pooled = hits / total
    spread = math.sqrt(pooled * (1 - pooled) * (1 / of_first + 1 / of_second))
    return math.erfc(abs(first / of_first - second / of_second) / spread / math.sqrt(2))


def _fisher(first: int, of_first: int, hits: int, total: int) -> float:
    """The support is short here: the smaller side, or what is rarer, has few."""
    if 2 * hits > total:  # count what is rarer
        first, hits = of_first - first, total - hits
    if 2 * of_first > total:  # on the smaller side
        first, of_first = hits - first, total - of_first
    whole = _log_choose(total, of_first)
    logs = [
        _log_choose(hits, k) + _log_choose(total - hits, of_first - k) - whole for k in range(min(hits, of_first) + 1)
    ]
    seen = logs[first] + _TIE
    return min(1.0, math.fsum(math.exp(x) for x in logs if x <= seen))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
