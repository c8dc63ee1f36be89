"""Windows whose averages average to that of the map."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.graph.rewriting.averaging import MOST, pieces

spaces = st.lists(st.integers(1, 300), min_size=1, max_size=3)


@given(spaces)
def test_windows_divide_what_is_left_and_leave_little(space: list[int]) -> None:
    left = list(space)
    for window in pieces(space):
        assert math.prod(window) > 1
        assert [size % part for size, part in zip(left, window, strict=True)] == [0] * len(space)
        whole = max(window)  # an axis without a divisor
        assert math.prod(window) <= MOST or (whole in left and math.prod(window) == whole)
        left = [size // part for size, part in zip(left, window, strict=True)]
    assert math.prod(left) <= MOST


@pytest.mark.parametrize(
    ("space", "expected"),
    [((7, 7), []), ((8, 8), []), ((28, 28), [(2, 28)]), ((149, 149), [(149, 1), (1, 149)]), ((0, 9), []),
     ((1, 6000), [(1, 60), (1, 50)]), ((224, 224), [(2, 32), (8, 7)]), ((16, 16, 16), [(1, 4, 16)])],
)  # fmt: skip
def test_some_maps(space: tuple[int, ...], expected: list[tuple[int, ...]]) -> None:
    assert pieces(space) == expected


def test_averages_of_averages_are_the_average() -> None:
    maps = np.random.default_rng(0).integers(-8, 8, (6, 20, 35)).astype(np.float64)
    expected = maps.mean()
    for window in pieces(maps.shape):
        cut = [n for size, part in zip(maps.shape, window, strict=True) for n in (size // part, part)]
        maps = maps.reshape(cut).mean((1, 3, 5))
    assert maps.mean() == pytest.approx(expected, rel=1e-14)
