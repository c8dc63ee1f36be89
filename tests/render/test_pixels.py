"""Values to pixels: exact colours, exact sizes, against loops written from the definitions."""

from __future__ import annotations

import io

import hypothesis.extra.numpy as npst
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from inspector.contract import Picture, Scale, ScaleKind
from inspector.errors import LimitError, PluginError
from inspector.render.palette import NOT_FINITE, SEQUENTIAL, SIGNED
from inspector.render.pixels import Extremes, colours, ends, enlarged, extremes, painted, picture_png, scale_of, shrunk

SIGNED_ONE = Scale(ScaleKind.SIGNED, -1.0, 1.0)
UNIT = Scale(ScaleKind.SEQUENTIAL, 0.0, 1.0)
RGB = Scale(ScaleKind.COLOUR, 0.0, 1.0)

numbers = st.floats(-1e6, 1e6, width=32)
maps = npst.arrays(np.float32, npst.array_shapes(min_dims=2, max_dims=2, max_side=7), elements=numbers)


def opened(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def slow_colour(value, scale):
    """One value, from the definition of the scales."""
    table = SIGNED if scale.kind is ScaleKind.SIGNED else SEQUENTIAL
    share = min(max((value - scale.low) / (scale.high - scale.low), 0.0), 1.0)
    return table[round(share * (len(table) - 1))]


def slow_means(values, down, across):
    """Means of blocks, by loops."""
    rows, columns = values.shape
    return np.array(
        [
            [np.mean(values[y : y + down, x : x + across], dtype=np.float64) for x in range(0, columns, across)]
            for y in range(0, rows, down)
        ]
    )


def test_a_signed_scale_is_blue_white_red():
    pixels = colours(np.array([[-1.0, 0.0, 1.0]]), SIGNED_ONE)
    assert pixels.tolist() == [[[2, 64, 132], [255, 255, 255], [127, 9, 17]]]


def test_a_sequential_scale_goes_from_dark_to_bright():
    pixels = colours(np.array([[0.0, 1.0]]), UNIT)
    assert pixels.tolist() == [[[26, 10, 53], [254, 244, 115]]]


def test_a_colour_scale_is_red_green_blue():
    pixels = colours(np.array([[[0.0, 0.5, 1.0], [1.0, 0.0, 2.0]]]), RGB)
    assert pixels.tolist() == [[[0, 128, 255], [255, 0, 255]]]


def test_values_beyond_the_scale_get_its_last_colour():
    pixels = colours(np.array([[-9.0, 9.0]]), UNIT)
    assert (pixels[0] == SEQUENTIAL[[0, 255]]).all()


@given(maps, st.floats(0.01, 1e4), st.sampled_from([ScaleKind.SIGNED, ScaleKind.SEQUENTIAL]))
def test_every_colour_is_the_one_of_the_definition(values, high, kind):
    scale = Scale(kind, -high if kind is ScaleKind.SIGNED else 0.0, high)
    expected = [[slow_colour(float(v), scale) for v in row] for row in values]
    np.testing.assert_allclose(colours(values, scale).astype(int), expected, atol=2)  # one entry, where it rounds


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("scale", [SIGNED_ONE, UNIT])
def test_what_is_no_finite_number_is_magenta(strange, scale):
    pixels = colours(np.array([[strange, 0.5]]), scale)
    assert tuple(pixels[0, 0]) == NOT_FINITE
    assert tuple(pixels[0, 1]) != NOT_FINITE


def test_one_channel_that_is_no_number_makes_the_pixel_magenta():
    assert tuple(colours(np.array([[[0.0, np.nan, 0.0]]]), RGB)[0, 0]) == NOT_FINITE


def test_values_may_have_colours_of_their_own_and_only_they_have_them():
    values = np.array([[np.nan, np.inf, 1.0, np.nextafter(1.0, 0.0)]])
    pixels = colours(values, UNIT, [(np.nan, (1, 2, 3)), (1.0, (4, 5, 6))])
    assert [tuple(p) for p in pixels[0].tolist()] == [(1, 2, 3), NOT_FINITE, (4, 5, 6), tuple(SEQUENTIAL[-1].tolist())]


def test_where_low_equals_high_equal_values_are_at_the_low_end_and_zero_stays_white():
    zero, five = np.zeros((1, 1)), np.full((1, 1), 5.0)
    assert (colours(zero, Scale(ScaleKind.SEQUENTIAL, 0.0, 0.0))[0, 0] == SEQUENTIAL[0]).all()
    assert (colours(five, Scale(ScaleKind.SEQUENTIAL, 5.0, 5.0))[0, 0] == SEQUENTIAL[0]).all()
    assert (colours(five, Scale(ScaleKind.SEQUENTIAL, 0.0, 0.0))[0, 0] == SEQUENTIAL[-1]).all()
    assert (colours(zero, Scale(ScaleKind.SIGNED, 0.0, 0.0))[0, 0] == 255).all()


def test_a_signed_scale_is_symmetric_whatever_a_plugin_says():
    assert ends(Scale(ScaleKind.SIGNED, -1.0, 3.0)) == (-3.0, 3.0)
    assert ends(Scale(ScaleKind.SIGNED, -4.0, 3.0)) == (-4.0, 4.0)
    assert ends(Scale(ScaleKind.SEQUENTIAL, 2.0, 1.0)) == (1.0, 2.0)


def test_a_scale_without_numbers_is_as_good_as_zero():
    assert ends(Scale(ScaleKind.SEQUENTIAL, np.nan, np.nan)) == (0.0, 0.0)


def test_the_widest_scale_there_is_does_not_overflow():
    values = np.array([[-1e308, 0.0, 1e308]])
    assert (colours(values, Scale(ScaleKind.SIGNED, -np.inf, np.inf))[0, 1] == 255).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8, np.uint8, np.bool_, ml_dtypes.bfloat16])
def test_any_real_element_type_can_be_drawn(dtype):
    assert (colours(np.ones((1, 1), dtype), UNIT)[0, 0] == SEQUENTIAL[-1]).all()


@pytest.mark.parametrize("values", [np.ones((1, 1), complex), np.array([["a"]]), np.array([[None]]), [[1.0]]])
def test_what_is_no_array_of_real_numbers_is_the_plugins_error(values):
    with pytest.raises(PluginError, match="expected an array of real numbers"):
        colours(values, UNIT)


def test_a_png_has_one_pixel_for_every_value():
    values = np.random.default_rng(0).normal(size=(5, 9))
    data = picture_png(Picture(values), SIGNED_ONE)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    np.testing.assert_array_equal(opened(data), colours(values, SIGNED_ONE))


def test_a_picture_too_large_for_one_pixel_each_is_refused():
    with pytest.raises(LimitError, match="found 5000 x 2"):
        picture_png(Picture(np.broadcast_to(np.float32(0), (5000, 2)), "big"), UNIT)


@pytest.mark.parametrize("values", [np.zeros(3), np.zeros((2, 2, 4)), [[1]]])
def test_a_picture_of_another_shape_is_the_plugins_error(values):
    with pytest.raises(PluginError):
        picture_png(Picture(values), UNIT)


def test_the_common_scale_wins_over_the_pictures_own():
    picture = Picture(np.zeros((1, 1)), scale=SIGNED_ONE)
    assert scale_of(picture, UNIT) is UNIT
    assert scale_of(picture, None) is SIGNED_ONE


def test_without_any_scale_the_values_suggest_one():
    assert scale_of(Picture(np.array([[0.0, 3.0, np.nan]])), None) == Scale(ScaleKind.SEQUENTIAL, 0.0, 3.0)
    assert scale_of(Picture(np.array([[-2.0, 3.0]])), None).kind is ScaleKind.SIGNED
    assert scale_of(Picture(np.zeros((1, 1, 3))), None).kind is ScaleKind.COLOUR


def test_a_scale_for_colours_needs_colours():
    with pytest.raises(PluginError, match=r"does not fit its colour scale; expected \(H, W, 3\)"):
        scale_of(Picture(np.zeros((2, 2))), RGB)


@given(maps, st.integers(1, 4), st.integers(1, 4))
def test_enlarging_repeats_every_pixel_in_a_block(values, down, across):
    pixels = colours(values, UNIT)
    expected = np.stack([np.kron(pixels[..., c], np.ones((down, across), np.uint8)) for c in range(3)], axis=-1)
    np.testing.assert_array_equal(enlarged(pixels, down, across), expected)


@pytest.mark.parametrize("across", [1, 12])
def test_what_is_not_finite_is_hatched_and_nothing_else_is(across):
    """Also where a value is one pixel wide: the legend shows it hatched."""
    values = np.array([[np.nan, 0.5]])
    pixels = painted(values, UNIT, 12, across)
    assert len(np.unique(pixels[:, :across].reshape(-1, 3), axis=0)) == 2
    assert (pixels[:, across:] == colours(values, UNIT)[0, 1]).all()


@given(maps, st.integers(1, 5), st.integers(1, 5))
def test_shrinking_takes_means_of_blocks(values, down, across):
    np.testing.assert_allclose(shrunk(values, down, across), slow_means(values, down, across), rtol=1e-9, atol=1e-6)


def test_shrinking_skips_nan_and_keeps_infinity_visible():
    values = np.array([[1.0, np.nan, np.nan, np.nan, 1.0, -np.inf]])
    assert shrunk(values, 1, 2).tolist()[0][0] == 1.0
    assert np.isnan(shrunk(values, 1, 2)[0, 1])
    assert np.isinf(shrunk(values, 1, 2)[0, 2])


def test_the_extremes_say_what_a_legend_must_show():
    assert extremes(np.array([[0.0, 1.0]]), UNIT) == Extremes()
    assert extremes(np.array([[-0.1, 1.0]]), UNIT) == Extremes(below=True)
    assert extremes(np.array([[2.0, np.nan]]), UNIT) == Extremes(above=True, nan=True)
    assert extremes(np.array([[np.inf]]), UNIT) == Extremes(infinite=True)
    assert extremes(np.array([[np.float32(0.1)]]), Scale(ScaleKind.SEQUENTIAL, 0.0, 0.1)) == Extremes()  # rounding
