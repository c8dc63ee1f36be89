"""Norms, zeros and copies of filters against plain loops."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from inspector_plugins._filter_facts import facts_of

from inspector import Filters as Weights


@st.composite
def repeating(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Weights (M, C/g, 2) of few different numbers, biases (M,), groups: many filters are equal, some broken."""
    groups, filters = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    few = st.sampled_from([0.0, -0.0, 1.0, 1.0, math.nan, math.inf])
    weight = draw(arrays(np.float32, (groups * filters, 1, 2), elements=few))
    bias = draw(arrays(np.float32, (groups * filters,), elements=st.sampled_from([0.0, -0.0, 2.0])))
    return weight, bias, groups


@given(repeating())
def test_facts_are_those_of_the_definition(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    weight, bias, groups = case
    rows = [[float(w) for w in row.ravel()] for row in weight]
    zero = [all(w == 0 for w in row) for row in rows]
    broken = [not all(math.isfinite(w) for w in row) for row in rows]

    def equal(o: int, p: int) -> bool:
        group = len(rows) // groups
        return rows[o] == rows[p] and bias[o] == bias[p] and o // group == p // group and not (zero[o] or broken[o])

    facts = facts_of(Weights(weight, bias), groups)

    assert facts.zero == tuple(o for o, yes in enumerate(zero) if yes)
    assert facts.broken == tuple(o for o, yes in enumerate(broken) if yes)
    assert facts.repeated == tuple(o for o in range(len(rows)) if any(equal(o, p) for p in range(o)))
    for copies in facts.copies:
        assert len(copies) > 1
        assert all(equal(o, p) for o, p in itertools.combinations(copies, 2))
    for o, row in enumerate(rows):
        assert facts.l1[o] == pytest.approx(math.fsum(abs(w) for w in row), rel=1e-14, nan_ok=True)
        assert facts.l2[o] == pytest.approx(math.sqrt(sum(w * w for w in row)), rel=1e-14, nan_ok=True)


def test_equal_filters_are_copies_only_with_equal_bias_and_in_one_group() -> None:
    weight = np.ones((4, 1, 3, 3), np.float32)

    assert facts_of(Weights(weight, np.zeros(4)), 1).copies == ((0, 1, 2, 3),)
    assert facts_of(Weights(weight, np.array([0.0, 1, 0, 1])), 1).copies == ((0, 2), (1, 3))
    assert facts_of(Weights(weight, np.zeros(4)), 2).copies == ((0, 1), (2, 3))
    assert facts_of(Weights(weight, np.zeros(4)), 4).copies == ()


def test_a_negative_zero_is_a_zero_in_copies_too() -> None:
    weight = np.array([[[1.0, 0.0]], [[1.0, -0.0]]], np.float32)
    assert facts_of(Weights(weight, np.array([-0.0, 0.0])), 1).copies == ((0, 1),)
