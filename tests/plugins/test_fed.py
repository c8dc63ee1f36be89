"""What was fed, as `activations` shows it: its numbers are those that went into the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inspector_plugins._fed import MOST_SIDE
from models import RUNS, ZOO, model
from PIL import Image

from inspector import Array, Images, Note, Scale, ScaleKind, Table, inspect, service
from inspector.analysis.plan import make_plan
from inspector.faces.wire import report_from_json, report_to_json
from inspector.render.images import draw_images
from inspector.report import AnalysisResult
from inspector.runtime.data import Raw


def result(data: bytes, x: Any, **params: Any) -> AnalysisResult:
    report = service.inspect(data, x, [service.AnalysisRequest("activations", params)])
    assert all(r.failure is None for r in report.results), report.results
    return report.result("activations")


def fed(data: bytes, x: Any, **params: Any) -> list[Images]:
    """The blocks before the table."""
    blocks = result(data, x, **params).blocks
    at = next(i for i, block in enumerate(blocks) if isinstance(block, Table))
    return [block for block in blocks[:at] if isinstance(block, Images)]


def net(*sizes: int | str, kind: str = "float") -> bytes:
    """A net that takes (N, *sizes) of that element type and convolves what it makes of them."""
    cast = "" if kind == "float" else "f = Cast <to=1> (x)"
    shape = ",".join(map(str, sizes))
    return model(
        f"{cast} m = ReduceMax <keepdims=0, axes=[{','.join(map(str, range(1, len(sizes) + 1)))}]> "
        f"({'f' if cast else 'x'}) s = Reshape(m, to) [c] a = Conv (s, w) y = Relu(a)",
        inputs=f"{kind}[N,{shape}] x", outputs="float[M,2,1,1] y", opset=17,
        weights={"w": np.ones((2, 1, 1, 1), np.float32), "to": np.array([-1, 1, 1, 1])},
    )  # fmt: skip


def values_of(block: Images) -> list[Array]:
    return [picture.values for picture in block.pictures]


def scale_of(block: Images, at: int = 0) -> Scale:
    scale = block.pictures[at].scale
    assert scale is not None
    return scale


def numbers(*shape: int) -> Array:
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


def test_three_channels_are_one_picture_of_just_the_numbers_that_were_fed() -> None:
    x = numbers(2, 3, 4, 5)
    for i, block in enumerate(fed(net(3, 4, 5), x)):
        assert block.title == f"Input x for array[{i}]"
        (drawn,) = values_of(block)
        np.testing.assert_array_equal(drawn, x[i].transpose(1, 2, 0))
        assert scale_of(block) == Scale(ScaleKind.COLOUR, float(x[i].min()), float(x[i].max()))
        assert f"float32, 3x4x5, numbers from {x[i].min():.6g} to {x[i].max():.6g}." in block.caption
        assert "0, 1, 2 are drawn as red, green and blue" in block.caption


def test_it_comes_first_and_as_many_as_there_are_inputs_that_are_drawn() -> None:
    blocks = result(net(3, 4, 5), numbers(5, 3, 4, 5), inputs=2).blocks
    titles = [block.title for block in blocks if isinstance(block, Images)]
    assert titles == [f"{what} for array[{i}]" for what in ("Input x", "c:act") for i in range(2)]
    assert [type(block) for block in blocks[:3]] == [Images, Images, Table]


def test_a_picture_is_shown_after_its_preprocessing(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    report = service.inspect(net(3, 4, 5), tmp_path / "a.png", "activations", preprocess="signed")
    block = report.result("activations").blocks[0]
    assert isinstance(block, Images)
    assert block.title == "Input x for a.png"
    np.testing.assert_allclose(values_of(block)[0], pixels / 127.5 - 1, atol=1e-6)


def test_channels_may_be_last() -> None:
    x = numbers(1, 4, 5, 3)
    (block,) = fed(net(4, 5, 3), x)
    np.testing.assert_array_equal(values_of(block), x)
    assert "4x5x3" in block.caption
    (grey,) = fed(net(4, 5, 1), x[..., :1])
    np.testing.assert_array_equal(values_of(grey)[0], np.repeat(x[0, ..., :1], 3, axis=-1))


def test_one_channel_is_grey_and_a_line_is_a_row() -> None:
    x = numbers(1, 1, 4, 5)
    (block,) = fed(net(1, 4, 5), x)
    np.testing.assert_array_equal(values_of(block)[0], np.repeat(x[0, 0, ..., None], 3, axis=-1))
    assert "white the largest" in block.caption
    (line,) = fed(net(1, 6), x.reshape(1, 1, -1)[..., :6])
    assert values_of(line)[0].shape == (1, 6, 3)


def test_the_legend_of_grey_has_no_colours() -> None:
    def colourful(channels: int) -> bool:
        (block,) = fed(net(channels, 4, 5), numbers(1, channels, 4, 5))
        sheet = np.asarray(next(draw_images(block))).astype(int)
        return bool((np.ptp(sheet, axis=-1) > 30).any())

    assert not colourful(1)
    assert colourful(3)


def test_other_numbers_of_channels_are_a_sheet() -> None:
    x = numbers(1, 5, 4, 6)
    (block,) = fed(net(5, 4, 6), x, maps=3)
    np.testing.assert_array_equal(values_of(block), x[0, :3])
    assert [p.label for p in block.pictures] == ["0", "1", "2"]
    assert scale_of(block).kind is ScaleKind.SIGNED
    assert "The first 3 of 5 channels are drawn" in block.caption
    (lines,) = fed(net(3, 6), x[:, :3, 0])  # three lines are no colours
    np.testing.assert_array_equal(values_of(lines), x[0, :3, :1])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_volumes_are_slices_on_the_scale_of_the_whole(channels: int) -> None:
    x = numbers(1, channels, 12, 3, 4)
    (block,) = fed(net(channels, 12, 3, 4), x, slices=3)
    assert "z = 0, 6, 11 of 12 are drawn" in block.caption
    assert block.columns == 3
    slices = x[0][:, [0, 6, 11]]
    if channels == 4:
        np.testing.assert_array_equal(values_of(block), slices.reshape(12, 3, 4))
        return
    shape = (3, 3, 4, 3)
    np.testing.assert_array_equal(values_of(block), np.broadcast_to(np.moveaxis(slices, 0, -1), shape))
    assert (scale_of(block).low, scale_of(block).high) == (x.min(), x.max())


@pytest.mark.parametrize("kind", ["uint8", "int8", "int32", "int64", "float16", "double"])
def test_every_element_type_is_shown_as_it_is(kind: str) -> None:
    dtype = np.dtype({"double": "float64"}.get(kind, kind))
    x = (np.arange(48) % 23 * 5).reshape(1, 3, 4, 4).astype(dtype)
    (block,) = fed(net(3, 4, 4, kind=kind), x)
    np.testing.assert_array_equal(values_of(block)[0], x[0].transpose(1, 2, 0).astype(np.float32))
    assert f"{dtype.name}, 3x4x4, numbers from 0 to 110." in block.caption


def test_float16_at_its_limits_is_what_was_fed() -> None:
    x = np.array([6e-8, -6e-8, 65504, -65504, 1 / 3, 0.0], np.float16).reshape(1, 1, 2, 3)
    (block,) = fed(net(1, 2, 3, kind="float16"), x)
    np.testing.assert_array_equal(values_of(block)[0][..., 0], x[0, 0].astype(np.float32))


@pytest.mark.filterwarnings("error")
def test_numbers_beyond_float32_are_multiples_of_a_power_of_ten() -> None:
    x = np.array([1e60, -3e60, 0.0]).reshape(1, 1, 1, 3)
    (block,) = fed(net(1, 1, 3, kind="double"), x)
    np.testing.assert_allclose(values_of(block)[0][0, :, 0], [1, -3, 0])
    assert scale_of(block) == Scale(ScaleKind.COLOUR, -3.0, 1.0, "x 1e60")
    assert "from -3e+60 to 1e+60" in block.caption


@pytest.mark.filterwarnings("error")
def test_nan_and_infinity_are_marked_counted_and_leave_the_range_alone() -> None:
    x = np.ones((2, 1, 2, 3), np.float32)
    x[0, 0, 0], x[0, 0, 1, 0], x[1] = (np.nan, np.inf, -2), -np.inf, np.nan
    some, none = fed(net(1, 2, 3), x)
    assert some.pictures[0].mark == none.pictures[0].mark == "not finite"
    np.testing.assert_array_equal(values_of(some)[0][..., 0], x[0, 0])
    assert (scale_of(some).low, scale_of(some).high) == (-2, 1)
    assert "numbers from -2 to 1; 3 of 6 are not finite" in some.caption
    assert "numbers none finite." in none.caption
    assert [len(list(draw_images(block))) for block in (some, none)] == [1, 1]


def two_inputs(second: str, use: str) -> bytes:
    return model(
        f"{use} b = Reshape(k, to) p = Add(x, b) [c] a = Conv (p, w) y = Relu(a)",
        inputs=f"float[N,1,2,3] x, {second}", outputs="float[N,2,2,3] y",
        weights={"w": np.ones((2, 1, 1, 1), np.float32), "to": np.array([-1, 1, 1, 1])},
    )  # fmt: skip


def test_every_input_of_a_model_is_shown_for_every_id() -> None:
    data = two_inputs("float[N,3,4,4] z", "k = ReduceMax <keepdims=0, axes=[1,2,3]> (z)")
    x, z = numbers(2, 1, 2, 3), numbers(2, 3, 4, 4)
    blocks = fed(data, {"x": x, "z": z})
    assert [b.title for b in blocks] == [f"Input {n} for array[{i}]" for i in range(2) for n in "xz"]
    np.testing.assert_array_equal(values_of(blocks[3])[0], z[1].transpose(1, 2, 0))


@pytest.mark.parametrize(
    ("second", "use", "why"),
    [
        ("float[N,1] z", "k = Identity(z)", "it has no axes in space (float32, Nx1)"),
        ("float[N] z", "k = Identity(z)", "it has no axes in space (float32, N)"),
        ("bool[N,1,1,1] z", "k = Cast <to=1> (z)", "it holds no numbers (bool, Nx1x1x1)"),
    ],
)
def test_an_input_that_is_no_picture_is_left_out_with_words(second: str, use: str, why: str) -> None:
    shape = {"float[N,1] z": (1, 1), "float[N] z": (1,)}.get(second, (1, 1, 1, 1))
    z = np.ones(shape, bool if "bool" in second else np.float32)
    blocks = result(two_inputs(second, use), {"x": numbers(1, 1, 2, 3), "z": z}).blocks
    assert isinstance(blocks[0], Images)
    assert blocks[0].title == "Input x for array[0]"
    assert blocks[1] == Note(f"input z is not drawn: {why}.", "Inputs that are no pictures")


def test_inputs_of_several_sizes_are_each_shown_at_their_own() -> None:
    sizes = ((6, 7), (4, 9), (6, 7))
    raw = [Raw(str(i), tensors={"x": numbers(3, *size)}) for i, size in enumerate(sizes)]
    assert [values_of(b)[0].shape for b in fed(net(3, "h", "w"), raw)] == [(*size, 3) for size in sizes]


def test_of_a_large_input_some_rows_and_columns_are_drawn_on_the_scale_of_all() -> None:
    x = np.zeros((1, 1, 3, 2 * MOST_SIDE + 2), np.float32)
    x[0, 0, 1, 1], x[0, 0, 0, 3] = 9, 2
    (block,) = fed(net(1, "h", "w"), x)
    np.testing.assert_array_equal(values_of(block)[0][..., 0], x[0, 0, ::3, ::3])
    assert "Of every 3 rows and columns one is drawn" in block.caption
    assert scale_of(block).high == 9


@pytest.mark.parametrize("name", RUNS)
def test_every_net_shows_what_it_was_fed(name: str) -> None:
    """Fixed batches that are filled up, forms that are freed, waves: nothing comes between."""
    case = RUNS[name]
    x = case.inputs(3)
    view = service.load(case.data)
    tap = next(t for t in view.input_taps)
    feeds = x[tap.tensor] if isinstance(x, dict) else x
    blocks = [b for b in fed(case.data, x, maps=4096) if b.title.startswith(f"Input {tap.tensor} ")]
    assert len(blocks) == len(feeds)
    for block, one in zip(blocks, feeds, strict=True):
        found = sorted({float(v) for values in values_of(block) for v in values.ravel()})
        assert found == sorted({float(v) for v in one.astype(np.float32).ravel()})


def test_it_survives_json() -> None:
    report = inspect(net(3, 4, 5), numbers(1, 3, 4, 5), "activations")
    again = report_from_json(report_to_json(report)).results[0].blocks[0]
    assert isinstance(again, Images)
    np.testing.assert_array_equal(again.pictures[0].values, values_of(fed(net(3, 4, 5), numbers(1, 3, 4, 5))[0])[0])


def test_nothing_of_it_is_in_a_plan_where_no_analysis_asks() -> None:
    view = service.load(ZOO["chain"].data)
    tensors = {r.tensor for r in make_plan(view, ["sparsity", "distribution"], allow_maps=False).requests}
    assert tensors.isdisjoint({i.name for i in view.inputs})
    asked = [r for r in make_plan(view, ["activations", "activations"], allow_maps=True).requests if r.tensor == "x"]
    assert len(asked) == 1
