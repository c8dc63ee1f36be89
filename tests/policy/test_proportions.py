"""Two shares: against the definitions, and a published table."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import pytest

from inspector.policy.proportions import ENOUGH, p_value


def exact(a: int, n: int, b: int, m: int) -> float:
    """Fisher's test from its definition, in whole numbers: all tables with these margins, none left out."""
    hits = a + b
    ways = {k: math.comb(n, k) * math.comb(m, hits - k) for k in range(max(0, hits - m), min(n, hits) + 1)}
    return float(Fraction(sum(w for w in ways.values() if w <= ways[a]), sum(ways.values())))


def pearson(a: int, n: int, b: int, m: int) -> float:
    """p of Pearson's chi-squared of the 2 x 2 table, one degree of freedom, from its definition."""
    hits, total = a + b, n + m
    cells = [(a, n, hits), (n - a, n, total - hits), (b, m, hits), (m - b, m, total - hits)]
    chi = sum((seen - row * column / total) ** 2 / (row * column / total) for seen, row, column in cells)
    return math.erfc(math.sqrt(chi / 2))


def test_the_lady_who_tastes_tea() -> None:
    """Fisher 1935: three of four cups right; two-sided 34/70."""
    assert p_value(3, 4, 1, 4) == pytest.approx(34 / 70, rel=1e-12)


def test_every_small_table_is_what_the_definition_says() -> None:
    seen = {True: 0, False: 0}
    for n, m in ((1, 1), (4, 4), (3, 9), (12, 7), (40, 12), (30, 30)):
        for a in range(n + 1):
            for b in range(m + 1):
                hits, total = a + b, n + m
                least = min(hits, total - hits) * min(n, m) / total
                twin = exact if least < ENOUGH else pearson
                seen[least < ENOUGH] += 1
                assert p_value(a, n, b, m) == pytest.approx(twin(a, n, b, m) if 0 < hits < total else 1.0, rel=1e-9)
    assert min(seen.values()) > 100


@pytest.mark.parametrize("table", [(0, 60_000, 3, 60_000), (59_999, 60_000, 60_000, 60_000), (2, 12, 0, 90_000)])
def test_rare_events_of_many_inputs_are_exact(table: tuple[int, int, int, int]) -> None:
    assert p_value(*table) == pytest.approx(exact(*table), rel=1e-6)


@pytest.mark.parametrize(("table", "twin"), [((2, 10, 8, 10), pearson), ((1, 10, 8, 10), exact)])
def test_from_five_expected_on_it_is_pearsons_test(
    table: tuple[int, int, int, int], twin: Callable[..., float]
) -> None:
    assert p_value(*table) == pytest.approx(twin(*table), rel=1e-9)


def test_the_same_difference_counts_for_more_with_more_inputs() -> None:
    assert p_value(6, 10, 4, 10) > 0.3 > p_value(60, 100, 40, 100) > 1e-3 > p_value(600, 1000, 400, 1000)


def test_nothing_seen_says_nothing_and_impossible_counts_are_refused() -> None:
    assert p_value(0, 0, 5, 10) == p_value(0, 7, 0, 9) == p_value(7, 7, 9, 9) == 1.0
    with pytest.raises(ValueError, match="no shares"):
        p_value(3, 2, 0, 1)
