"""Feature maps of a few inputs: the pictures hold the maps themselves, and say what stands out."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from inspector_plugins.activations import Activations, Shown
from models import RUNS, SAME, ZOO, B, W, model, numbers

from inspector import Array, Images, Picture, ScaleKind, Table, Tap, TapKind, Zeros, service
from inspector.errors import LimitError, ParameterError
from inspector.faces.wire import report_to_json
from inspector.report import AnalysisResult


def result(data: bytes, x: Array, **params: Any) -> AnalysisResult:
    found = service.inspect(data, x, [service.AnalysisRequest("activations", params)]).result("activations")
    assert found.failure is None
    assert found.findings == ()
    return found


def grids(found: AnalysisResult) -> list[Images]:
    """Those of maps; what was fed comes before the table."""
    at = next(i for i, block in enumerate(found.blocks) if isinstance(block, Table))
    return [block for block in found.blocks[at:] if isinstance(block, Images)]


def rows(found: AnalysisResult) -> list[dict[str, Any]]:
    table = next(block for block in found.blocks if isinstance(block, Table))
    return [dict(zip((c.name for c in table.columns), row, strict=True)) for row in table.rows]


@pytest.mark.parametrize("name", ["chain", "residual", "float16_7", "transposed_grouped", "batch_4", "names"])
def test_every_picture_is_the_map_of_its_channel(name: str) -> None:
    case = RUNS[name]
    x = case.inputs(2)
    maps = service.activations(case.data, x)
    found = result(case.data, x)
    titles = [f"{tap} for array[{i}]" for i in range(2) for tap in maps]
    assert [grid.title for grid in grids(found)] == titles
    for grid, (tap, i) in zip(grids(found), [(tap, i) for i in range(2) for tap in maps], strict=True):
        assert [p.label for p in grid.pictures] == [str(c) for c in range(maps[tap].shape[1])]
        for picture, plane in zip(grid.pictures, maps[tap][i], strict=True):
            np.testing.assert_array_equal(picture.values, plane.astype(np.float32))
            assert picture.values.dtype == np.float32


def test_the_table_sums_up_every_map_set() -> None:
    x = ZOO["chain"].inputs(2)
    maps = service.activations(ZOO["chain"].data, x)
    expected = [
        (f"array[{i}]", tap, {"c:act": "r", "d:act": "y"}[tap], "4x6x5",
         int((a[i] == 0).all((1, 2)).sum()), float(a[i].min()), float(a[i].max()))
        for i in range(2) for tap, a in maps.items()
    ]  # fmt: skip
    assert [tuple(row.values()) for row in rows(result(ZOO["chain"].data, x))] == expected


def identity_net(activation: str = "Relu", space: int = 2, channels: int = 3) -> bytes:
    """Every output channel is an input channel, so the inputs are the maps before the activation."""
    axes = ",".join(f"d{i}" for i in range(space))
    return model(
        f"[c] a = Conv <group={channels}> (x, w) y = {activation}(a)", inputs=f"float[N,{channels},{axes}] x",
        outputs=f"float[N,{channels},{axes}] y", weights={"w": np.ones((channels, 1) + (1,) * space, np.float32)},
    )  # fmt: skip


def test_what_stands_out_is_marked_silent_where_zeros_mean_that_or_not_finite() -> None:
    x = np.ones((1, 3, 4, 4), np.float32)
    x[0, 0], x[0, 1, 2, 2], x[0, 2, 0, 0] = -1, np.nan, -5
    for activation, marks, silent in [
        ("Relu", ["silent", "not finite", ""], 1),
        ("Sigmoid", ["", "not finite", ""], None),
    ]:
        found = result(identity_net(activation), x)
        (grid,) = grids(found)
        assert [p.mark for p in grid.pictures] == marks
        (row,) = rows(found)
        assert row["silent"] == silent
        assert ("framed: silent" in grid.caption) == (activation == "Relu")
        assert ("zeros mean nothing" in grid.caption) == (activation == "Sigmoid")


def test_a_set_with_a_map_that_is_not_finite_has_no_extremes() -> None:
    x = np.ones((2, 3, 4, 4), np.float32)
    x[1, 0, 0, 0] = np.inf
    first, second = rows(result(identity_net(), x))
    assert (first["min"], first["max"]) == (1, 1)
    assert (second["min"], second["max"]) == (None, None)


def scale(picture: Picture) -> tuple[ScaleKind, float, float]:
    assert picture.scale is not None
    return picture.scale.kind, picture.scale.low, picture.scale.high


def test_a_tap_with_negative_values_has_zero_in_the_middle_of_its_scales_and_others_at_their_ends() -> None:
    """For all of its maps, of all inputs: one grid has one set of colours, and so have the grids of one tap."""
    x = np.zeros((2, 3, 2, 2), np.float32)
    x[0, 0, 0], x[0, 1, 0], x[0, 2], x[1] = (-3, 1), (0, 2), (np.nan, 4), 5
    signed = grids(result(identity_net("LeakyRelu <alpha=1.0>"), x))
    assert [scale(p)[1:] for p in signed[0].pictures] == [(-3, 3), (-2, 2), (-4, 4)]
    assert scale(grids(result(identity_net("LeakyRelu <alpha=1.0>"), -x))[0].pictures[0]) == scale(
        signed[0].pictures[0]
    )
    assert {scale(p)[0] for grid in signed for p in grid.pictures} == {ScaleKind.SIGNED}
    rising = grids(result(identity_net("LeakyRelu <alpha=1.0>"), np.where(x < 0, -np.inf, x)))
    assert [scale(p)[1:] for p in rising[0].pictures] == [(0, 1), (0, 2), (0, 4)]
    assert {scale(p)[0] for grid in rising for p in grid.pictures} == {ScaleKind.SEQUENTIAL}


def test_lines_become_one_row() -> None:
    line = np.arange(6, dtype=np.float32).reshape(1, 1, 6)
    (picture,) = grids(result(identity_net(space=1, channels=1), line))[0].pictures
    np.testing.assert_array_equal(picture.values, line[0])


def test_volumes_become_their_slices_on_one_scale_and_a_row_is_a_map() -> None:
    volume = np.arange(48, dtype=np.float32).reshape(1, 2, 2, 3, 4)
    (grid,) = grids(result(identity_net(space=3, channels=2), volume))
    assert [p.label for p in grid.pictures] == ["0 z=0", "0 z=1", "1 z=0", "1 z=1"]
    np.testing.assert_array_equal([p.values for p in grid.pictures], volume[0].reshape(4, 3, 4))
    assert [scale(p)[2] for p in grid.pictures] == [23, 23, 47, 47]
    assert grid.columns == 2
    assert "slices across its first axis in space: all 2 are drawn. Every map has its own scale" in grid.caption


def test_of_a_deep_volume_slices_far_apart_are_drawn_and_marks_are_those_of_the_whole_map() -> None:
    volume = np.ones((1, 3, 20, 2, 2), np.float32)
    volume[0, 1], volume[0, 2, 1, 0, 0] = -1, np.nan  # z = 1 itself is not drawn
    (grid,) = grids(result(identity_net(space=3), volume, slices=4))
    assert [p.label for p in grid.pictures][:4] == ["0 z=0", "0 z=6", "0 z=13", "0 z=19"]
    assert [p.mark for p in grid.pictures] == ["", "", "", "", *["silent"] * 4, *["not finite"] * 4]
    assert "A row is one map" in grid.caption
    assert "z = 0, 6, 13, 19 of 20 are drawn, the others are left out" in grid.caption
    (grid,) = grids(result(identity_net(space=3), volume))
    assert len({p.label for p in grid.pictures}) == 3 * 8
    (grid,) = grids(result(identity_net(space=3), volume, slices=1))
    assert [p.label for p in grid.pictures] == ["0 z=0", "1 z=0", "2 z=0"]
    assert "A map is drawn as slices" in grid.caption


@pytest.mark.parametrize(
    ("silent", "broken", "said"),
    [
        (False, False, "; none here is silent, all are finite."),
        (True, False, "; framed: silent, zero everywhere for this input."),
        (False, True, "; framed: not finite, NaN or Inf in the map."),
        (True, True, "; framed: silent, zero everywhere for this input; not finite, NaN or Inf in the map."),
    ],
)
def test_the_caption_says_what_is_framed_in_this_grid_and_nothing_else(silent: bool, broken: bool, said: str) -> None:
    x = np.ones((1, 3, 4, 4), np.float32)
    x[0, 0] = -1 if silent else 1
    x[0, 1, 0, 0] = np.inf if broken else 1
    (grid,) = grids(result(identity_net(), x))
    assert grid.caption.endswith(said)
    (grid,) = grids(result(identity_net(), x, maps=1))  # what is not drawn is not framed
    assert grid.caption.endswith("none here is silent, all are finite." if not silent else "for this input.")


@pytest.mark.parametrize("size", [1e60, 1e-60, 1e300, 5e-324])
@pytest.mark.filterwarnings("error")
def test_maps_beyond_float32_are_drawn_as_multiples_of_a_power_of_ten(size: float) -> None:
    """Given by hand, as onnxruntime has no Conv for float64 on the CPU."""
    maps = np.array([3.0, -4.0, 2.0, 1.0]).reshape(1, 2, 2) * size
    tap = Tap("c", TapKind.ACT, "y", 1)
    blocks = Activations(Activations.Params()).present(Shown(("one",), {tap: {"one": maps}}))
    (picture,) = next(block for block in blocks if isinstance(block, Images)).pictures
    assert picture.mark == ""
    assert picture.scale is not None
    assert picture.scale.unit.startswith("x 1e")
    power = float(picture.scale.unit.removeprefix("x "))
    np.testing.assert_allclose(picture.values.astype(np.float64) * power, maps[0], rtol=1e-6)
    assert picture.scale.high == -picture.values[0, 1]


def test_only_the_first_inputs_and_channels_are_drawn_and_it_is_said() -> None:
    x = ZOO["chain"].inputs(5)
    found = result(ZOO["chain"].data, x, inputs=2, maps=3)
    assert len(grids(found)) == 2 * 2
    for grid in grids(found):
        assert len(grid.pictures) == 3
        assert "the first 3 of 4 channels" in grid.caption
    assert {row["input"] for row in rows(found)} == {"array[0]", "array[1]"}
    assert "first" not in grids(result(ZOO["chain"].data, x, maps=4))[0].caption


def test_taps_are_chosen_by_pattern_and_kind() -> None:
    def taps(**params: Any) -> list[str]:
        data = model(f"[c] a = Conv {SAME} (x, w) n = Add(a, b) r = Relu(n) [d] e = Conv {SAME} (r, v) y = Relu(e)",
                     weights={"w": W, "b": B.reshape(4, 1, 1), "v": numbers(4, 4, 3, 3)})  # fmt: skip
        return [row["tap"] for row in rows(result(data, ZOO["chain"].inputs(1), **params))]

    assert taps() == ["c:act", "d:act"]
    assert taps(kind="norm") == ["c:norm", "d:conv"]
    assert taps(taps=["d", "c:conv"]) == ["c:conv", "d:act"]


@pytest.mark.parametrize("params", [{"inputs": 0}, {"inputs": 65}, {"maps": 0}, {"maps": 5000}, {"kind": "raw"}])
def test_parameters_out_of_range_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        result(ZOO["chain"].data, ZOO["chain"].inputs(1), **params)


def test_inputs_of_different_sizes_are_each_shown_at_their_own_size() -> None:
    from inspector.runtime.data import Raw

    rng = np.random.default_rng(5)
    x = {str(i): rng.normal(size=(3, *size)).astype(np.float32) for i, size in enumerate(((6, 7), (6, 7), (4, 9)))}
    report = service.inspect(
        identity_net(), [Raw(key, tensors={"x": value}) for key, value in x.items()], ["activations", "sparsity"]
    )
    found = report.result("activations")
    assert [grid.title for grid in grids(found)] == [f"c:act for {key}" for key in x]
    for grid, value in zip(grids(found), x.values(), strict=True):
        np.testing.assert_array_equal([p.values for p in grid.pictures], np.maximum(value, 0))
    assert [row["shape"] for row in rows(found)] == ["3x6x7", "3x6x7", "3x4x9"]
    assert report.result("sparsity").failure is None


@pytest.mark.parametrize("name", RUNS)
def test_in_every_net_exactly_the_maps_without_anything_but_zeros_are_marked_silent(name: str) -> None:
    """The first input is empty, so that some are."""
    view, x = service.load(RUNS[name].data), RUNS[name].inputs(2)
    x[0] = 0
    maps = service.activations(view, x)
    pairs = [(tap, maps[tap.name][i]) for i in range(2) for tap in view.taps()]
    for grid, (tap, shown) in zip(grids(result(RUNS[name].data, x)), pairs, strict=True):
        silent = [tap.zeros is Zeros.EXACT and all(v == 0 for v in plane.ravel()) for plane in shown]
        by_map = {p.label.partition(" ")[0]: p.mark == "silent" for p in grid.pictures}
        assert list(by_map.values()) == silent


@pytest.mark.parametrize("activation", ["Identity", "LeakyRelu", "Tanh"])
def test_where_zeros_mean_nothing_an_empty_map_is_not_marked(activation: str) -> None:
    found = result(identity_net(activation), np.zeros((1, 3, 4, 5), np.float32))
    assert {p.mark for p in grids(found)[0].pictures} == {""}
    assert rows(found)[0]["silent"] is None


def test_the_raw_output_of_a_rectified_layer_is_not_marked_either() -> None:
    found = result(identity_net(), np.zeros((1, 3, 4, 5), np.float32), kind="conv")
    assert {p.mark for p in grids(found)[0].pictures} == {""}


def test_maps_that_are_not_finite_are_told_in_plain_json() -> None:
    """No NaN and no Infinity, which JSON does not have."""
    x = np.ones((1, 3, 4, 5), np.float32)
    x[0, 0, 0, 0], x[0, 1, 0, 0], x[0, 2] = np.nan, np.inf, np.nan
    report = service.inspect(identity_net(), x, ["activations", "sparsity"])
    assert all(r.failure is None for r in report.results)
    json.loads(report_to_json(report), parse_constant=pytest.fail)


def test_an_audit_of_many_inputs_refuses_whole_maps() -> None:
    failure = service.audit(identity_net(), np.ones((2, 3, 4, 5), np.float32), ["activations"]).results[0].failure
    assert failure is not None
    assert failure.kind == LimitError.reason
