"""Weights of any size that float64 has: norms, pictures and strengths are true of them, and nothing warns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from fakes import Conv, FakeModel
from inspector_plugins._drawable import multiples, peak_of, power_of
from inspector_plugins._norms import root_of_squares
from inspector_plugins.connectivity import Connectivity, ConnectivityParams
from inspector_plugins.filters import Filters, FiltersParams

from inspector import Finding, Heatmap, Images, Scale, Table, TensorInfo
from inspector.render.sheet import block_pngs

pytestmark = pytest.mark.filterwarnings("error")
PLAIN = np.random.default_rng(4).normal(size=(3, 3, 3, 3))
SIZES = [1e-300, 1e-200, 1e-60, 1e-44, 1.0, 1e38, 1e60, 1e200, 1e300]


def blocks(analysis: Any, weight: np.ndarray) -> list[Any]:
    fake = FakeModel([Conv("c", weight)], inputs=(TensorInfo("x", "float64", ("N", 3, 9, 9)),))
    return list(analysis.present(analysis.finalize(fake, {})))


def factor(scale: Scale | None) -> float:
    """What the unit says that numbers are to be multiplied by."""
    assert scale is not None
    first, _, rest = scale.unit.partition(" ")
    return float(rest.split()[0]) if first == "x" else 1.0


def pictures(found: list[Any]) -> Iterator[tuple[np.ndarray, Scale | None]]:
    """Every picture with its scale; each can be drawn."""
    for block in found:
        if isinstance(block, Images):
            yield from ((picture.values, block.scale or picture.scale) for picture in block.pictures)
        if isinstance(block, Heatmap):
            yield block.values, block.scale
        if isinstance(block, Images | Heatmap):
            assert block_pngs(block)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("own", [True, False])
def test_patches_times_what_their_scale_says_are_the_weights(size: float, own: bool) -> None:
    weight = PLAIN * size
    found = list(pictures(blocks(Filters(FiltersParams(per_filter_scale=own)), weight)))
    assert len(found) == 3
    for o, (values, scale) in enumerate(found):
        assert values.dtype == np.float32
        np.testing.assert_allclose(
            np.moveaxis(values, -1, 0).astype(np.float64) * factor(scale), weight[o], rtol=1e-6, atol=1e-7 * size
        )
        assert scale is not None
        assert scale.high * factor(scale) == pytest.approx(float(np.abs(weight[o] if own else weight).max()), rel=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_a_matrix_and_the_strength_of_links_are_drawn_so_too(size: float) -> None:
    weight = PLAIN[..., :1, :1] * size
    for analysis in (
        Filters(FiltersParams()),
        *(Connectivity(ConnectivityParams(norm=n)) for n in ("l1", "l2", "max")),
    ):
        ((values, scale),) = pictures(blocks(analysis, weight))
        expected = weight[..., 0, 0] if isinstance(analysis, Filters) else np.abs(weight[..., 0, 0])
        np.testing.assert_allclose(values.astype(np.float64) * factor(scale), expected, rtol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_norms_are_those_of_exact_arithmetic(size: float) -> None:
    weight = PLAIN.reshape(3, -1) * size
    for found, row in zip(root_of_squares(weight), weight, strict=True):
        square = sum(Fraction(float(w)) ** 2 for w in row)
        exponent = math.floor(math.log2(size)) * 2
        assert found == pytest.approx(math.ldexp(math.sqrt(square / Fraction(2) ** exponent), exponent // 2), rel=1e-14)


@pytest.mark.parametrize("size", SIZES)
def test_no_filter_is_called_broken_or_zero_for_its_size(size: float) -> None:
    for analysis in (Filters(FiltersParams()), Connectivity(ConnectivityParams(norm="l2"))):
        found = blocks(analysis, PLAIN * size)
        assert not [block for block in found if isinstance(block, Finding)]
        (table,) = (block for block in found if isinstance(block, Table))
        assert all(math.isfinite(cell) for cell in table.rows[0] if isinstance(cell, float))


def test_ordinary_weights_have_the_norms_that_they_had_bit_for_bit() -> None:
    weight = PLAIN.reshape(3, -1)
    np.testing.assert_array_equal(root_of_squares(weight), np.sqrt(np.square(weight).sum(axis=1)))
    assert root_of_squares(np.array([[3.0, 4.0], [0.0, 0.0], [np.inf, 1.0], [np.nan, np.inf]])).tolist()[:3] == [
        5.0,
        0.0,
        np.inf,
    ]
    assert np.isnan(root_of_squares(np.array([[np.nan, 1.0]]))).all()


def test_what_float32_holds_is_drawn_as_it_is() -> None:
    for values in (PLAIN, PLAIN * 1e37, PLAIN * 1e-20, np.zeros(3), np.array([3.4028234e38])):
        assert power_of(peak_of(values)) == 0
    np.testing.assert_array_equal(multiples(np.array([1.5, np.nan, np.inf]), 0), np.float32([1.5, np.nan, np.inf]))
    assert np.abs(multiples(np.array([5e-324]), power_of(5e-324))).min() > 0
    assert math.isfinite(float(multiples(np.array([1.7e308]), power_of(1.7e308))[0]))
