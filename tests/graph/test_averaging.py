"""Windows whose averages average to that of the map, once the zeros that fill them up are taken out again."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.contract import Array
from inspector.graph.rewriting.averaging import MOST, windows, without_zeros

spaces = st.lists(st.integers(1, 300), min_size=1, max_size=3)


def average(maps: Array, side: int) -> Array:
    """One level, from the definition: `side - 1` zeros at either end of an axis, and as many windows as fit."""
    padded = np.pad(maps, side - 1)
    counts = [(size - side) // side + 1 for size in padded.shape]
    padded = padded[tuple(slice(count * side) for count in counts)]
    cut = [number for count in counts for number in (count, side)]
    return padded.reshape(cut).mean(tuple(range(1, 2 * maps.ndim, 2)))


@given(spaces)
def test_few_numbers_are_averaged_at_once_and_few_are_left(space: list[int]) -> None:
    side, levels = windows(space)
    assert side ** len(space) <= MOST
    assert (levels == 0) == (math.prod(space) <= MOST)
    left = tuple(space)
    for _ in range(levels):
        assert math.prod(left) > MOST
        left = average(np.ones(left), side).shape
    assert math.prod(left) <= MOST


@pytest.mark.parametrize(
    ("space", "levels"),
    [((7, 7), 0), ((8, 8), 0), ((28, 28), 1), ((149, 149), 2), ((0, 9), 0), ((1, 6000), 3), ((224, 224), 2),
     ((16, 16, 16), 2), ((65,), 1), ((64,), 0)],
)  # fmt: skip
def test_some_maps(space: tuple[int, ...], levels: int) -> None:
    assert windows(space) == ({1: 64, 2: 8, 3: 4}[len(space)], levels)


@given(spaces.filter(lambda space: math.prod(space) <= 1 << 20), spaces)
def test_averages_of_averages_are_the_average(space: list[int], planned: list[int]) -> None:
    """Also with as many levels as maps of another size need."""
    levels = windows(planned)[1] if len(planned) == len(space) else windows(space)[1]
    side = windows(space)[0]
    maps = np.random.default_rng(0).integers(-8, 8, space).astype(np.float64)
    maps.flat[0] += 1
    expected = maps.mean()
    for _ in range(levels):
        maps = average(maps, side)
    assert maps.mean() * without_zeros(space, side, levels) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(spaces)
def test_no_window_is_of_zeros_alone(space: list[int]) -> None:
    """It would change nothing, but cost."""
    side, levels = windows(space)
    if levels:
        for size in space:
            assert np.all(average(np.ones(size), side) > 0)
