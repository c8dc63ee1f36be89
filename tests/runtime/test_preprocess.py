"""The way from picture to tensor: its text, its arithmetic and its geometry, against slow twins."""

from __future__ import annotations

import math
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from inspector.contract import TensorInfo
from inspector.errors import InputError, ParameterError
from inspector.runtime.pictures import decode
from inspector.runtime.preprocess import FILTERS, PRESETS, InputSpec, Preprocess

RNG = np.random.default_rng(11)
PHOTOGRAPHS = Path(__file__).parents[2].parent / "shared" / "data"


def spec(*shape: int | str | None, dtype: str = "float32") -> InputSpec:
    return InputSpec.of(TensorInfo("x", dtype, shape))


def colour(height: int, width: int) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


SMALL = colour(4, 5)


def twin(pixels: np.ndarray, p: Preprocess, target: InputSpec) -> np.ndarray:
    """From the definition, pixel by pixel, in Python floats, for a picture that has the model's size."""
    height, width = pixels.shape[:2]
    result = np.zeros((target.channels, height, width))
    for c in range(target.channels):
        mean, std = p.mean[c % len(p.mean)], p.std[c % len(p.std)]
        for i in range(height):
            for j in range(width):
                levels = [float(v) for v in np.atleast_1d(pixels[i, j])]
                if target.channels == 1 and len(levels) == 3:
                    r, g, b = map(int, levels)
                    levels = [float((19595 * r + 38470 * g + 7471 * b + 32768) // 65536)]  # luma in 16-bit fixed point
                ordered = levels[::-1] if p.order == "bgr" else levels
                result[c, i, j] = (ordered[c % len(ordered)] * p.scale - mean) / std
    return result if target.layout == "NCHW" else result.transpose(1, 2, 0)


numbers = st.floats(-1e6, 1e6)
sides = st.integers(1, 16384)
preprocesses = st.builds(
    Preprocess,
    resize=st.one_of(st.sampled_from(["stretch", "none"]), sides, st.tuples(sides, sides)),
    crop=st.none() | sides,
    scale=numbers.filter(bool),
    mean=st.tuples(numbers) | st.tuples(numbers, numbers, numbers),
    std=st.tuples(*[st.floats(1e-6, 1e6)] * 3) | st.tuples(st.floats(1e-300, 1e300)),
    order=st.sampled_from(["rgb", "bgr"]),
    filter=st.sampled_from(sorted(FILTERS)),
)


@given(preprocesses)
def test_the_text_parses_back_to_the_same(p):
    assert Preprocess.parse(p.text) == p
    assert Preprocess.parse(p.text).text == p.text


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_parses_by_name_and_by_its_text(name):
    assert Preprocess.parse(name) == PRESETS[name] == Preprocess.parse(PRESETS[name].text)


def test_the_presets_are_what_their_names_say():
    assert PRESETS["imagenet"].text == (
        "resize=256/224,crop=model,scale=0.00392156862745098,"
        "mean=0.485/0.456/0.406,std=0.229/0.224/0.225,order=rgb,filter=bilinear"
    )
    ends = {"unit": (0, 1), "signed": (-1, 1), "raw": (0, 255)}
    for name, (low, high) in ends.items():
        result = PRESETS[name].apply(Image.fromarray(np.array([[0, 255]], np.uint8)), spec(1, 1, 1, 2))
        np.testing.assert_allclose(result.ravel(), [low, high], atol=1e-6)
    red = PRESETS["caffe"].apply(Image.new("RGB", (1, 1), (255, 0, 10)), spec(1, 3, 1, 1))
    np.testing.assert_allclose(red.ravel(), [10 - 103.939, -116.779, 255 - 123.68], rtol=1e-6)


def test_what_comes_later_overrides():
    assert Preprocess.parse("imagenet, order=bgr").order == "bgr"
    assert Preprocess.parse("crop=10,crop=20").crop == 20
    assert Preprocess.parse("crop=10,unit") == PRESETS["unit"]
    assert Preprocess.parse("crop=10,crop=model").crop is None
    assert Preprocess.parse("scale=1/255") == PRESETS["unit"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("imagnet", "preset 'imagnet': there is none of that name.*Did you mean 'imagenet'"),
        ("", "preset ''"),
        ("ordr=bgr", "key 'ordr'.*expected one of: resize, crop.*Did you mean 'order'"),
        ("order=gbr", "order 'gbr'.*expected one of: rgb, bgr"),
        ("filter=bicubc", "filter 'bicubc'.*Did you mean 'bicubic'"),
        ("resize=strech", "resize 'strech'.*Did you mean 'stretch'"),
        ("resize=256/", "resize: it is no whole number; found ''"),
        ("resize=1.5", "resize: it is no whole number; found '1.5'"),
        ("resize=-3", r"size: it is out of range; expected a whole number 1\.\.16384, found -3"),
        ("resize=256/0", "found 0"),
        ("crop=0", "found 0"),
        ("crop=16385", "found 16385"),
        ("crop=big", "crop: it is no whole number; found 'big'"),
        ("scale=0", "scale: it is out of range; expected a finite number other than 0, found 0"),
        ("scale=nan", "found nan"),
        ("scale=1/0", "scale: it is no number; found '1/0'"),
        ("scale=x", "scale: it is no number"),
        ("mean=1/2", "mean: it is out of range; expected 1 or 3 numbers, found 2"),
        ("mean=inf", "mean.*expected finite numbers, found inf"),
        ("mean=1/nan/2", "found 1.0/nan/2.0"),
        ("mean=", "mean: it is no number; found ''"),
        ("std=0", "std.*expected numbers above 0, found 0"),
        ("std=1/1/-1", "std.*found -1"),
        ("std=nan", "std.*finite"),
    ],
)
def test_wrong_text_is_refused_with_a_reason(text, message):
    with pytest.raises(ParameterError, match=message):
        Preprocess.parse(text)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 3, 224, 200), (3, 224, 200, "NCHW")),
        (("N", 1, None, "w"), (1, None, None, "NCHW")),
        ((None, 224, 200, 3), (3, 224, 200, "NHWC")),
        ((1, None, None, 1), (1, None, None, "NHWC")),
        ((1, 3, 5, 3), (3, 5, 3, "NCHW")),
        ((1, "c", 8, 9), (3, 8, 9, "NCHW")),
    ],
)
def test_the_layout_is_read_from_the_shape(shape, expected):
    s = spec(*shape)
    assert (s.channels, s.height, s.width, s.layout) == expected


@pytest.mark.parametrize("shape", [None, (3, 8, 8), (1, 4, 8, 8), (1, 8, 8, 4), (1, 2, 8, 8), (1, 16, 3, 8, 8), ()])
def test_inputs_that_are_no_pictures_say_so(shape):
    with pytest.raises(InputError, match=r"input 'x': pictures cannot feed it; expected .*found float32.*\.npy"):
        InputSpec.of(TensorInfo("x", "float32", shape))


def test_element_types_that_are_no_picture_say_so():
    with pytest.raises(InputError, match=r"expected element type float32, .*, uint8, found int64"):
        spec(1, 3, 8, 8, dtype="int64")


ULPS = {"float64": 2**-52, "float32": 2**-23, "float16": 2**-10, "bfloat16": 2**-7}
"""Spacing of numbers around 1, the largest relative step in each element type."""


@pytest.mark.parametrize("dtype", ULPS)
@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (1, 4, 5, 3), (1, 1, 4, 5), (1, 4, 5, 1)])
@settings(max_examples=25)
@given(data=st.data())
def test_the_arithmetic_equals_the_definition(shape, dtype, data):
    target = spec(*shape, dtype=dtype)
    small = st.floats(-3, 3).filter(lambda v: abs(v) > 1e-3)
    amount = target.channels if data.draw(st.booleans()) else 1
    p = Preprocess(
        scale=data.draw(small),
        mean=tuple(data.draw(small) for _ in range(amount)),
        std=tuple(abs(data.draw(small)) + 0.1 for _ in range(amount)),
        order=data.draw(st.sampled_from(["rgb", "bgr"])),
    )
    pixels = data.draw(st.sampled_from([SMALL, SMALL[..., 0]]))
    result = p.apply(Image.fromarray(pixels), target)
    assert result.dtype == np.dtype(dtype)
    assert result.flags.c_contiguous
    expected = twin(pixels, p, target)
    # one rounding to the element type; near zero, float16 has a fixed step of 2^-24
    np.testing.assert_allclose(result.astype(np.float64), expected, rtol=ULPS[dtype], atol=2**-24)


def test_uint8_models_get_the_very_pixels():
    pixels = colour(6, 4)
    bgr = Preprocess.parse("raw,order=bgr").apply(Image.fromarray(pixels), spec(1, 6, 4, 3, dtype="uint8"))
    assert bgr.dtype == np.uint8
    np.testing.assert_array_equal(bgr, pixels[..., ::-1])


def test_uint8_models_take_no_arithmetic_and_no_fractions():
    target = spec(1, 1, 1, 2, dtype="uint8")
    for text in ("unit", "imagenet,mean=0,std=1", "mean=1", "std=2"):
        with pytest.raises(ParameterError, match="expected raw pixels, because the model takes uint8"):
            Preprocess.parse(text).check(target)
    whole, broken = (Image.fromarray(np.array([[3, v]], np.float32)) for v in (7, 7.5))
    np.testing.assert_array_equal(Preprocess().apply(whole, target), [[[3, 7]]])
    with pytest.raises(InputError, match=r"p\.tif: it has more than 8 bits, the model takes uint8"):
        Preprocess().apply(broken, target, "p.tif")


def test_three_means_or_deviations_do_not_fit_one_channel():
    with pytest.raises(ParameterError, match=r"input 'x' has a single channel"):
        Preprocess.parse("unit,std=1/2/3").check(spec(1, 1, 4, 4))
    with pytest.raises(ParameterError, match=r"input 'x' has a single channel; expected one number each.*Use unit"):
        PRESETS["imagenet"].check(spec(1, 1, 8, 8))
    PRESETS["unit"].check(spec(1, 1, 8, 8))


def test_results_beyond_the_element_type_are_refused():
    p = Preprocess(scale=1000.0)
    p.check(spec(1, 3, 2, 2, dtype="float32"))
    with pytest.raises(ParameterError, match=r"arithmetic.*expected results that float16 can hold"):
        p.check(spec(1, 3, 2, 2, dtype="float16"))


def test_more_than_eight_bits_survive():
    levels = np.array([[0.25, 100.125], [254.5, 255]], np.float32)
    result = Preprocess().apply(Image.fromarray(levels), spec(1, 3, 2, 2))
    np.testing.assert_array_equal(result, [levels] * 3)


def test_a_float_picture_cannot_overshoot_in_resizing():
    edge = np.repeat(np.array([[0, 255]], np.float32), 8, axis=1)
    result = Preprocess(filter="lanczos").apply(Image.fromarray(np.repeat(edge, 16, axis=0)), spec(1, 1, 31, 31))
    assert result.min() == 0
    assert result.max() == 255


def test_bfloat16_is_an_element_type_like_any_other():
    result = PRESETS["unit"].apply(Image.new("L", (2, 2), 128), spec(1, 1, 2, 2, dtype="bfloat16"))
    np.testing.assert_array_equal(result, np.full((1, 2, 2), 128 / 255, ml_dtypes.bfloat16))


def reference_sizes(width: int, height: int, short: int) -> tuple[int, int]:
    """The rule "shorter side to `short`, longer side in proportion, rounded down" in exact fractions."""
    if width <= height:
        return short, math.floor(short * height / width)
    return math.floor(short * width / height), short


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 400), st.integers(1, 400))
def test_the_shorter_side_is_what_was_asked_and_the_cut_is_in_the_middle(width, height, short, side):
    p = Preprocess(resize=short)
    size, (left, upper, right, lower) = p.geometry((width, height), spec(1, 3, side, side))
    assert size == reference_sizes(width, height, short)
    assert (right - left, lower - upper) == (side, side)
    for begin, end, length in ((left, right, size[0]), (upper, lower, size[1])):
        assert abs(begin - (length - end)) <= 1


@pytest.mark.parametrize(("width", "left"), [(5, 0), (7, 2), (9, 2), (11, 4)])
def test_a_cut_half_a_pixel_from_any_begins_at_the_even_one_as_that_of_torchvision(width, left):
    assert Preprocess(resize="none").geometry((width, 4), spec(1, 3, 4, 4))[1] == (left, 0, left + 4, 4)


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 600))
def test_a_ratio_resizes_to_the_side_in_proportion(width, height, side):
    size, box = PRESETS["imagenet"].geometry((width, height), spec(1, 3, side, side))
    assert size == reference_sizes(width, height, round(side * 256 / 224))
    assert 0 <= box[0] <= box[2] <= size[0]
    assert 0 <= box[1] <= box[3] <= size[1]


@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 200), st.integers(1, 200))
def test_a_ratio_to_an_oblong_size_covers_it_as_tightly_as_whole_pixels_allow(width, height, w, h):
    (got_w, got_h), _ = Preprocess(resize=(1, 1)).geometry((width, height), spec(1, 3, h, w))
    assert got_w >= w
    assert got_h >= h
    factor = max(w / width, h / height)
    assert abs(got_w - width * factor) <= 1
    assert abs(got_h - height * factor) <= 1


@pytest.mark.parametrize(
    ("text", "shape", "expected"),
    [
        ("raw", (1, 3, 20, 30), (20, 30)),
        ("raw", (1, 3, None, None), (50, 80)),
        ("raw", (1, 3, 20, None), (20, 80)),
        ("crop=10", (1, 3, None, None), (10, 10)),
        ("resize=none", (1, 3, None, None), (50, 80)),
        ("resize=none", (1, 3, 20, 30), (20, 30)),
        ("resize=none,crop=10", (1, 3, None, None), (10, 10)),
        ("resize=25", (1, 3, None, None), (25, 40)),
        ("resize=25,crop=20", (1, 3, None, None), (20, 20)),
        ("imagenet", (1, 3, None, None), (224, 224)),
        ("imagenet,crop=299", (1, None, None, 3), (299, 299)),
        ("imagenet", (1, 3, 20, None), (20, 224)),
    ],
)
def test_the_size_comes_from_the_model_or_the_text_or_the_picture(text, shape, expected):
    target = spec(*shape)
    result = Preprocess.parse(text).apply(Image.fromarray(colour(50, 80)), target)
    assert result.shape == ((3, *expected) if target.layout == "NCHW" else (*expected, 3))


def test_the_cut_takes_the_middle_pixels():
    pixels = np.arange(7 * 9, dtype=np.uint8).reshape(7, 9)
    result = Preprocess.parse("resize=none").apply(Image.fromarray(pixels), spec(1, 1, 3, 5))
    np.testing.assert_array_equal(result[0], pixels[2:5, 2:7])


def test_stretching_by_whole_numbers_averages_blocks():
    pixels = colour(6, 8)[..., 0]
    result = Preprocess(filter="box").apply(Image.fromarray(pixels.astype(np.float32)), spec(1, 1, 3, 2))
    np.testing.assert_allclose(result[0], pixels.reshape(3, 2, 2, 4).mean((1, 3)), rtol=1e-6)


def test_a_ramp_stays_a_ramp_when_it_is_resized():
    ramp = np.repeat(np.linspace(20, 220, 101, dtype=np.float32)[None], 11, axis=0)
    result = Preprocess().apply(Image.fromarray(ramp), spec(1, 1, 11, 51))
    expected = 20 + 200 * ((np.arange(51) + 0.5) * 101 / 51 - 0.5) / 100  # pixel centres, half a pixel in
    np.testing.assert_allclose(result[0, :, 3:-3], np.broadcast_to(expected[3:-3], (11, 45)), atol=0.02)


def test_a_crop_that_is_not_the_models_size_is_refused():
    with pytest.raises(ParameterError, match="crop: the model has another width; expected 299, found 224"):
        Preprocess(crop=224).check(spec(1, 3, 224, 299))


def test_a_picture_that_is_smaller_than_the_cut_is_refused():
    with pytest.raises(InputError, match=r"a\.png: it is too small for the cut; expected 20 x 30, found 80 x 25 after"):
        Preprocess(resize="none").apply(Image.new("RGB", (80, 25)), spec(1, 3, 30, 20), "a.png")
    with pytest.raises(InputError, match="found 25 x 25 after"):
        Preprocess(resize="none").apply(Image.new("RGB", (25, 25)), spec(1, 3, 26, 1))


def test_a_picture_that_would_become_huge_is_refused_before_it_does():
    with pytest.raises(
        InputError, match=r"many pixels of it; expected at most 64,000,000, found 1 x 30000, which would"
    ):
        Preprocess(resize=256).apply(Image.new("L", (1, 30000)), spec(1, 1, None, None))
    with pytest.raises(InputError, match="no picture is that large; found width 1000000000"):
        Preprocess().check(spec(1, 3, 8, 10**9))


@pytest.mark.skipif(not (PHOTOGRAPHS / "cat.jpg").exists(), reason="no photographs beside the checkout")
def test_a_photograph_ends_up_in_the_range_that_its_statistics_promise():
    result = PRESETS["imagenet"].apply(decode(PHOTOGRAPHS / "cat.jpg"), spec(1, 3, 224, 224))
    assert result.shape == (3, 224, 224)
    assert abs(result.mean()) < 1
    assert 0.5 < result.std() < 1.5
