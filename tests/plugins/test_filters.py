"""Filter pictures against the stored weights, read back number by number, and facts against plain loops."""

from __future__ import annotations

import itertools
import math
from typing import Any, TypeVar

import numpy as np
import pytest
from fakes import Conv, FakeModel
from hypothesis import given
from hypothesis import strategies as st
from inspector_plugins import _filter_pictures
from inspector_plugins._drawable import slices_of
from inspector_plugins._filter_pictures import Form, form_of
from inspector_plugins.filters import Filters, FiltersParams, FiltersResult
from pydantic import ValidationError

from inspector import (
    Analysis,
    Finding,
    Heatmap,
    Images,
    Inapplicable,
    InspectorError,
    Note,
    ScaleKind,
    Severity,
    Table,
    TensorInfo,
)
from inspector.errors import NotFoundError

B = TypeVar("B")
RGB, GREY = ("N", 3, 32, 32), ("N", 1, 32, 32)


def model(*convs: Conv, shape: tuple[int | str | None, ...] | None = RGB, producer: str = "pytorch 2.9") -> FakeModel:
    return FakeModel(convs, inputs=(TensorInfo("image", "float32", shape),), facts={"producer": producer})


def run(fake: FakeModel, **params: Any) -> FiltersResult:
    return Filters(FiltersParams(**params)).finalize(fake, {})


def shown(fake: FakeModel, **params: Any) -> list[Any]:
    analysis = Filters(FiltersParams(**params))
    return list(analysis.present(analysis.finalize(fake, {})))


def the(blocks: list[Any], kind: type[B]) -> B:
    (found,) = (b for b in blocks if isinstance(b, kind))
    return found


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def deeper(weight: np.ndarray, **conv: Any) -> FakeModel:
    """A model whose second layer has these weights; the first, "stem", is a 1x1 matrix."""
    return model(Conv("stem", numbers(3, 3, 1, 1)), Conv("conv", weight, **conv))


def test_it_is_an_analysis() -> None:
    assert isinstance(Filters(FiltersParams()), Analysis)


def test_filters_that_read_a_colour_image_are_colour_patches_on_one_scale() -> None:
    weight = numbers(40, 3, 5, 7)

    images = the(shown(model(Conv("conv", weight))), Images)

    assert len(images.pictures) == 40
    assert images.scale is not None
    assert (images.scale.kind, images.scale.high) == (ScaleKind.COLOUR, float(np.abs(weight).max()))
    assert images.scale.low == -images.scale.high
    for o, picture in enumerate(images.pictures):
        assert (picture.values.shape, picture.values.dtype, picture.label) == ((5, 7, 3), np.float32, str(o))
        for c, y, x in np.ndindex(3, 5, 7):
            assert picture.values[y, x, c] == weight[o, c, y, x]


@pytest.mark.parametrize(
    ("order", "producer", "bgr"),
    [("rgb", "caffe2", False), ("bgr", "pytorch", True), ("auto", "onnx-Caffe2 1", True), ("auto", "pytorch", False)],
)
def test_blue_first_channels_are_turned_round(order: str, producer: str, *, bgr: bool) -> None:
    weight = numbers(2, 3, 3, 3)
    blocks = shown(model(Conv("conv", weight), producer=producer), order=order)

    patch = the(blocks, Images).pictures[0].values

    assert np.array_equal(patch[..., 0], weight[0, 2 if bgr else 0])
    assert np.array_equal(patch[..., 1], weight[0, 1])
    assert f"taken as {'BGR' if bgr else 'RGB'}" in the(blocks, Note).text


def test_filters_that_read_a_grey_image_are_signed_patches() -> None:
    weight = numbers(6, 1, 3, 3)

    images = the(shown(model(Conv("conv", weight), shape=GREY)), Images)

    assert images.scale is not None
    assert images.scale.kind is ScaleKind.SIGNED
    assert [p.label for p in images.pictures] == list("012345")
    assert all(np.array_equal(p.values, weight[o, 0]) for o, p in enumerate(images.pictures))


@pytest.mark.parametrize(
    ("conv", "shape", "form"),
    [
        (Conv("c", numbers(4, 3, 3, 3)), RGB, Form.COLOUR),
        (Conv("c", numbers(4, 3, 3, 3)), ("N", 32, 32, 3), Form.COLOUR),  # channels last, a Transpose in between
        (Conv("c", numbers(4, 3, 3, 3)), ("N", "C", "H", "W"), Form.COLOUR),
        (Conv("c", numbers(4, 3, 3, 3)), None, Form.COLOUR),
        (Conv("c", numbers(4, 3, 2, 3, 3)), ("N", 3, 8, 32, 32), Form.COLOUR),  # video
        (Conv("c", numbers(4, 1, 3, 3)), GREY, Form.GREY),
        (Conv("c", numbers(4, 3, 3, 3)), ("N", 1, 32, 32), Form.SLICES),  # three maps, but not of the image
        (Conv("c", numbers(4, 3, 3, 3)), ("N", 3, 32), Form.SLICES),
        (Conv("c", numbers(4, 4, 3, 3)), ("N", 4, 32, 32), Form.SLICES),
        (Conv("c", numbers(4, 3, 5)), ("N", 3, 100), Form.SLICES),
        (Conv("c", numbers(3, 1, 3, 3), groups=3), RGB, Form.SLICES),
        (Conv("c", numbers(4, 3, 3, 3), op="ConvTranspose"), RGB, Form.SLICES),
        (Conv("c", numbers(4, 3, 1, 1)), RGB, Form.MATRIX),
        (Conv("c", numbers(4, 3, 1)), ("N", 3, 100), Form.MATRIX),
    ],
)
def test_the_form_follows_from_what_the_layer_reads(conv: Conv, shape: Any, form: Form) -> None:
    inputs = (TensorInfo("x", "float32", shape),)

    assert form_of(conv.layer(0), inputs) is form
    assert form_of(conv.layer(1), inputs) in {Form.SLICES, Form.MATRIX}


def test_deeper_filters_are_slices_per_map_and_the_note_says_why() -> None:
    weight = numbers(20, 10, 3, 3)
    blocks = shown(deeper(weight))

    images = the(blocks, Images)

    assert images.columns == 8
    assert len(images.pictures) == 16 * 8
    for (o, i), picture in zip(itertools.product(range(16), range(8)), images.pictures, strict=True):
        assert picture.label == f"{o}, map {i}"
        assert np.array_equal(picture.values, weight[o, i])
    assert images.scale is not None
    assert images.scale.high == float(np.abs(weight).max())  # of all weights, drawn or not
    assert images.caption.startswith("First 16 of 20 filters, first 8 of 10 input maps of each")
    assert "whether a layer behind the first reads the image too is not known" in the(blocks, Note).text


def test_slices_of_a_grouped_layer_name_the_map_among_all_maps() -> None:
    images = the(shown(deeper(numbers(4, 3, 3, 3), groups=2)), Images)

    assert [p.label for p in images.pictures] == [
        *("0, map 0", "0, map 1", "0, map 2", "1, map 0", "1, map 1", "1, map 2"),
        *("2, map 3", "2, map 4", "2, map 5", "3, map 3", "3, map 4", "3, map 5"),
    ]


def test_exactly_the_filters_that_were_asked_for_are_drawn() -> None:
    fake = model(Conv("a", numbers(10, 3, 3, 3)), Conv("b", numbers(40, 10, 3, 3)))

    first, second = (b for b in shown(fake, filters=[7, 30, 2], max_inputs=1) if isinstance(b, Images))

    assert [p.label for p in first.pictures] == ["7", "2"]
    assert [p.label for p in second.pictures] == ["7, map 0", "30, map 0", "2, map 0"]
    assert first.caption.startswith("2 of 10 filters;")
    assert second.caption.startswith("3 of 40 filters, first 1 of 10 input maps of each;")


def test_filters_that_were_asked_for_and_do_not_fit_are_counted() -> None:
    fake = deeper(numbers(256, 256, 3, 3))

    images = the(shown(fake, filters=list(range(100, 140)), max_inputs=256), Images)

    assert images.caption.startswith("16 of 256 filters; 24 more of those named do not fit;")


def test_a_layer_that_has_none_of_the_filters_is_not_drawn_but_stays_in_the_table() -> None:
    fake = model(Conv("a", numbers(10, 3, 3, 3)), Conv("b", numbers(40, 10, 3, 3)))
    blocks = shown(fake, filters=[30])

    assert the(blocks, Images).title.startswith("b:")
    assert [row[0] for row in the(blocks, Table).rows] == ["a", "b"]


def test_a_filter_that_no_layer_has_is_refused() -> None:
    with pytest.raises(InspectorError, match=r"filters 40, 99: .* expected 0 to 39"):
        run(deeper(numbers(40, 3, 3, 3)), filters=[0, 40, 99])


def test_kernels_of_one_number_become_one_matrix() -> None:
    weight = numbers(200, 150, 1, 1)

    blocks = shown(model(Conv("stem", numbers(150, 3, 3, 3)), Conv("conv", weight)), layers=["conv"])
    heatmap = the(blocks, Heatmap)

    assert np.array_equal(heatmap.values, weight[:128, :128, 0, 0])
    assert (heatmap.scale.kind, heatmap.scale.high) == (ScaleKind.SIGNED, float(np.abs(weight).max()))
    assert heatmap.caption.startswith("First 128 of 200 filters, first 128 of 150 input maps of each")


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_the_slices_hold_every_number_at_its_place(shape: list[int]) -> None:
    kernel = np.arange(math.prod(shape), dtype=float).reshape(shape)

    slices = slices_of(kernel)

    *deep, height, width = shape if len(shape) > 1 else [1, *shape]
    assert slices.shape == (math.prod(deep), height, width)
    for z, where in enumerate(np.ndindex(*deep)):
        for y, x in np.ndindex(height, width):
            assert slices[z, y, x] == kernel[(*where, y, x) if len(shape) > 1 else x]


def test_a_kernel_over_time_is_a_row_per_map() -> None:
    weight = numbers(2, 2, 5)

    images = the(shown(deeper(weight)), Images)

    assert [p.values.tolist() for p in images.pictures] == [[row.tolist()] for row in weight.reshape(4, 5)]


def test_kernels_of_three_axes_are_shown_depth_by_depth_side_by_side() -> None:
    weight = numbers(2, 3, 2, 4, 4)
    video = model(Conv("conv", weight), shape=("N", 3, 8, 32, 32))

    colour, signed = the(shown(video), Images), the(shown(deeper(weight), layers=["conv"]), Images)

    assert (colour.columns, signed.columns) == (2, 6)
    assert "step z" in the(shown(video), Note).text
    assert [p.label for p in colour.pictures] == ["0 z=0", "0 z=1", "1 z=0", "1 z=1"]
    assert [p.label for p in signed.pictures][:4] == ["0, map 0 z=0", "0, map 0 z=1", "0, map 1 z=0", "0, map 1 z=1"]
    assert np.array_equal(colour.pictures[3].values, np.moveaxis(weight[1, :, 1], 0, -1))
    assert np.array_equal(signed.pictures[3].values, weight[0, 1, 1])


def test_one_scale_per_filter_on_request() -> None:
    weight = numbers(3, 2, 3, 3)
    weight[1] *= 1e-3
    weight[2] = 0
    blocks = shown(deeper(weight), per_filter_scale=True)

    images = the(blocks, Images)

    assert images.scale is None
    highs = [p.scale.high for p in images.pictures if p.scale]
    assert highs == [float(np.abs(weight[o]).max()) or 1.0 for o in (0, 0, 1, 1, 2, 2)]
    assert "scale of its own" in images.caption


def test_a_folded_norm_is_shown_and_named() -> None:
    weight = numbers(2, 3, 3, 3)
    fake = model(Conv("conv", weight, scale=np.array([2.0, -1.0])))

    stored, folded = shown(fake), shown(fake, fold_norm=True)

    assert np.array_equal(the(stored, Images).pictures[1].values[..., 0], weight[1, 0])
    assert np.array_equal(the(folded, Images).pictures[1].values[..., 0], -weight[1, 0])
    assert "conv_bn" in the(folded, Images).caption
    assert the(folded, Table).rows[0][-1] == "conv_bn"
    assert the(stored, Table).rows[0][-1] == ""


def test_a_layer_of_zeros_has_a_scale_with_two_ends_and_marked_pictures() -> None:
    blocks = shown(model(Conv("conv", np.zeros((2, 3, 3, 3), np.float32))))

    images = the(blocks, Images)

    assert images.scale is not None
    assert (images.scale.low, images.scale.high) == (-1, 1)
    assert images.caption == "All 2 filters; no finite weight but 0."
    assert [p.mark for p in images.pictures] == ["zero", "zero"]
    assert the(blocks, Finding).channels == (0, 1)


def test_pictures_stay_within_a_budget_of_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_filter_pictures, "PIXELS", 100)
    monkeypatch.setattr(_filter_pictures, "PICTURES", 10)

    wide = shown(deeper(numbers(8, 8, 5, 5)), layers=["conv"])
    small = shown(deeper(numbers(8, 2, 2, 2)), layers=["conv"])
    deep = shown(deeper(numbers(8, 8, 6, 1, 1)), layers=["conv"])
    huge = shown(deeper(numbers(8, 8, 11, 11)), layers=["conv"])
    colour = shown(model(Conv("conv", numbers(8, 3, 7, 7))))

    assert [p.label for p in the(wide, Images).pictures] == ["0, map 0", "0, map 1", "0, map 2", "0, map 3"]
    assert [p.label for p in the(small, Images).pictures] == [f"{o}, map {i}" for o in range(5) for i in range(2)]
    assert [p.label for p in the(deep, Images).pictures] == [f"0, map 0 z={z}" for z in range(6)]
    for blocks in (huge, colour):
        assert not any(isinstance(b, Images) for b in blocks)
        assert the(blocks, Table).rows[0][4] == 0


def test_zero_filters_and_copies_are_found() -> None:
    weight = numbers(5, 3, 3, 3)
    weight[1], weight[4] = 0, weight[0]
    blocks = shown(model(Conv("conv", weight, scale=np.ones(5))))

    zero, copy = (b for b in blocks if isinstance(b, Finding))

    assert (zero.rule, zero.severity, zero.channels) == ("filters/zero", Severity.WARNING, (1,))
    assert (copy.rule, copy.severity, copy.channels) == ("filters/copy", Severity.INFO, (4,))
    assert "equal sets: 0, 4" in copy.message
    assert "fold_norm" in copy.remedy  # the norm after it may tell them apart


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_reported_and_spoil_neither_scale_nor_table(number: float) -> None:
    weight = numbers(4, 3, 3, 3)
    weight[2, 0, 1, 1] = number
    blocks = shown(model(Conv("bad", weight), Conv("good", numbers(2, 4, 3, 3))))

    finding = the(blocks, Finding)
    bad = next(b for b in blocks if isinstance(b, Images))

    assert (finding.rule, finding.severity) == ("filters/not-finite", Severity.ERROR)
    assert (finding.layer, finding.channels) == ("bad", (2,))
    assert bad.scale is not None
    assert bad.scale.high == float(np.abs(weight[np.isfinite(weight)]).max())
    assert [p.mark for p in bad.pictures] == ["", "", "not finite", ""]
    assert all(np.isfinite(c) for row in the(blocks, Table).rows for c in row if isinstance(c, float))


def test_a_bias_that_is_no_number_is_reported_too() -> None:
    fake = model(Conv("conv", numbers(2, 3, 3, 3), bias=np.array([0, np.nan], np.float32)))

    assert the(shown(fake), Finding).channels == (1,)


def test_the_table_holds_shape_and_norms() -> None:
    weight = np.array([[3.0, -4.0], [1.0, 0.0], [0.0, 0.0]], np.float32).reshape(3, 2, 1)

    table = the(shown(deeper(weight), layers=["conv"]), Table)

    assert table.rows == (("conv", "Conv", 3, "2 x 1", 3, 0.0, 1.0, 7.0, 0.0, 1.0, 5.0, 1, 0, ""),)


def test_a_transposed_convolution_is_shown_filter_by_filter_and_not_flipped() -> None:
    weight = numbers(2, 3, 2, 2)
    blocks = shown(deeper(weight, op="ConvTranspose"))

    assert np.array_equal(the(blocks, Images).pictures[1].values, weight[0, 1])
    assert "transposed" in the(blocks, Note).text


def test_a_layer_without_fixed_weights_is_listed_and_the_others_are_done() -> None:
    blocks = shown(model(Conv("dynamic", shape=(4, 3, 3, 3)), Conv("fixed", numbers(2, 4, 3, 3))))

    facts, left_out = (b for b in blocks if isinstance(b, Table))

    assert [row[0] for row in facts.rows] == ["fixed"]
    assert left_out.rows == (("dynamic", "its weights are computed while the model runs"),)


def test_a_model_without_any_fixed_weights_is_inapplicable() -> None:
    with pytest.raises(Inapplicable, match="no layer that was asked for has fixed weights"):
        run(model(Conv("dynamic", shape=(4, 3, 3, 3))))


def test_an_unknown_layer_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(NotFoundError, match="Did you mean 'stem'"):
        run(deeper(numbers(2, 3, 3, 3)), layers=["stam"])


@pytest.mark.parametrize(
    "params",
    [{"order": "gbr"}, {"filters": [-1]}, {"filters": list(range(300))}, {"max_filters": 0}, {"max_inputs": 1000},
     {"layers": []}, {"scale": 1}],
)  # fmt: skip
def test_parameters_out_of_range_or_unknown_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FiltersParams(**params)


def test_every_parameter_is_described() -> None:
    assert all(entry["description"] for entry in FiltersParams.model_json_schema()["properties"].values())
