"""Connectivity against its definition, written as plain loops, and against tables from the literature."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fakes import Conv, FakeModel
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from inspector_plugins._links import LayerLinks, carriers, overview
from inspector_plugins.connectivity import Connectivity, ConnectivityParams, ConnectivityResult
from pydantic import ValidationError

from inspector import Analysis, Finding, Heatmap, Inapplicable, Note, ScaleKind, Severity, Table
from inspector.service import load

C3 = (
    {0, 1, 2}, {1, 2, 3}, {2, 3, 4}, {3, 4, 5}, {0, 4, 5}, {0, 1, 5},
    {0, 1, 2, 3}, {1, 2, 3, 4}, {2, 3, 4, 5}, {0, 3, 4, 5}, {0, 1, 4, 5}, {0, 1, 2, 5},
    {0, 1, 3, 4}, {1, 2, 4, 5}, {0, 2, 3, 5}, {0, 1, 2, 3, 4, 5},
)  # fmt: skip
"""Table I of LeCun, Bottou, Bengio, Haffner (1998): the maps of S2 that each map of C3 reads."""


def run(*convs: Conv, **params: Any) -> ConnectivityResult:
    return Connectivity(ConnectivityParams(**params)).finalize(FakeModel(convs), {})


def links_of(weight: np.ndarray, groups: int = 1, **params: Any) -> LayerLinks:
    return run(Conv("conv", weight, groups), **params).layers[0]


def shown(*convs: Conv, **params: Any) -> list[Any]:
    analysis = Connectivity(ConnectivityParams(**params))
    return list(analysis.present(analysis.finalize(FakeModel(convs), {})))


def findings(*convs: Conv, **params: Any) -> dict[str, Finding]:
    return {b.rule: b for b in shown(*convs, **params) if isinstance(b, Finding)}


def slow(weight: np.ndarray, groups: int, norm: str = "l1", eps: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """(M, C) strengths, NaN where not linked by groups, and (M, C) truth values: the definition in plain loops."""
    outputs, width = weight.shape[:2]
    inputs = width * groups
    strength, links = np.full((outputs, inputs), np.nan), np.zeros((outputs, inputs), bool)
    for o in range(outputs):
        for i in range(inputs):
            if i // (inputs // groups) != o // (outputs // groups):
                continue
            numbers = [abs(float(w)) for w in weight[o, i % (inputs // groups)].ravel()]
            links[o, i] = max(numbers) > eps
            size = {"l1": math.fsum(numbers), "l2": math.sqrt(math.fsum(n * n for n in numbers)), "max": max(numbers)}
            strength[o, i] = size[norm] if links[o, i] else 0.0
    return strength, links


def slow_carriers(strengths: list[float], share: float) -> int:
    """The least number of inputs that reach the share, trying 1, 2, 3, … of the strongest."""
    ranked, total = sorted(strengths, reverse=True), math.fsum(strengths)
    if not 0 < total < math.inf:
        return 0
    return next(k for k in range(1, len(ranked) + 1) if math.fsum(ranked[:k]) >= share * total * (1 - 1e-12))


@st.composite
def layers(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    """Weights of small whole numbers, many of them 0, with 1 to 3 spatial axes, and the number of groups."""
    groups, filters, width = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    kernel = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    shape = (groups * filters, width, *kernel)
    weight = draw(arrays(np.float32, shape, elements=st.sampled_from([0.0, 0.0, 0.0, -0.0, 1.0, -2.0, 3.0, 0.5])))
    dead = draw(arrays(bool, shape[:2]))
    weight[dead] = 0
    return weight, groups


def test_it_is_an_analysis() -> None:
    assert isinstance(Connectivity(ConnectivityParams()), Analysis)


def test_the_c3_table_of_lenet5_comes_back_from_a_dense_convolution() -> None:
    weight = np.random.default_rng(0).normal(size=(16, 6, 5, 5)).astype(np.float32)
    for o, reads in enumerate(C3):
        weight[o, [i for i in range(6) if i not in reads]] = 0

    links = links_of(weight)

    assert [set(np.flatnonzero(row)) for row in links.links] == list(C3)
    assert (links.possible, links.used, links.possible - links.used) == (96, 60, 36)
    assert links.density == 0.625
    assert links.links.sum(axis=0).tolist() == [10] * 6


def test_the_second_layer_of_alexnet_has_half_the_links_of_a_dense_one() -> None:
    weight = np.random.default_rng(1).normal(size=(256, 48, 5, 5)).astype(np.float32)

    links = links_of(weight, groups=2)

    assert links.possible == links.used == links.links.sum() == 12_288
    assert links.links.size == 24_576
    assert not links.links[:128, 48:].any()
    assert not links.links[128:, :48].any()


def test_the_groups_of_a_real_alexnet_are_seen() -> None:
    path = Path(onnx.__file__).parent / "backend/test/data/light/light_bvlc_alexnet.onnx"
    if not path.is_file():
        pytest.skip("this onnx package comes without its light models")

    layers = Connectivity(ConnectivityParams()).finalize(load(path), {}).layers

    assert [links.layer.groups for links in layers] == [1, 2, 1, 2, 2]
    assert [links.possible for links in layers] == [3 * 96, 12_288, 256 * 384, 384 * 192, 384 * 128]
    assert layers[1].links.size == 24_576


@pytest.mark.parametrize(
    ("shape", "groups", "depthwise"),
    [((8, 1, 3, 3), 8, True), ((16, 1, 3, 3), 8, True), ((8, 1, 3, 3), 1, False), ((1, 8, 3, 3), 1, False)],
)
def test_one_input_or_one_output_channel_does_not_make_a_layer_depthwise(
    shape: tuple[int, ...], groups: int, *, depthwise: bool
) -> None:
    table = next(b for b in shown(Conv("conv", np.ones(shape, np.float32), groups)) if isinstance(b, Table))

    assert cell(table, "depthwise") is depthwise


def cell(table: Table, column: str, row: int = 0) -> Any:
    return table.rows[row][[c.name for c in table.columns].index(column)]


@given(layers(), st.sampled_from(["l1", "l2", "max"]), st.sampled_from([0.0, 0.5, 1.0, 2.5]))
def test_strengths_and_links_are_those_of_the_definition(case: tuple[np.ndarray, int], norm: str, eps: float) -> None:
    weight, groups = case
    strength, expected = slow(weight, groups, norm, eps)

    links = links_of(weight, groups, norm=norm, eps=eps)

    np.testing.assert_allclose(links.matrix, strength, rtol=1e-14)
    assert np.array_equal(links.links, expected)
    assert links.possible == np.isfinite(strength).sum()
    assert links.used == expected.sum()
    assert links.unread == tuple(i for i in range(expected.shape[1]) if not any(expected[:, i]))
    assert links.idle == tuple(o for o in range(expected.shape[0]) if not any(expected[o]))


@given(
    arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=st.integers(0, 9).map(float)),
    st.sampled_from([0.1, 0.5, 0.9, 0.95, 1.0]),
)
def test_the_number_of_inputs_that_carry_a_share_is_that_of_the_definition(strength: np.ndarray, share: float) -> None:
    assert carriers(strength, share).tolist() == [slow_carriers(row.tolist(), share) for row in strength]


@pytest.mark.parametrize(
    ("strengths", "share", "expected"),
    [
        ([9.0, 1, 0], 0.9, 1),
        ([8.9, 1.1, 0], 0.9, 2),
        ([0.1] * 10, 0.9, 9),
        ([0.3] * 6, 0.5, 3),
        ([0.1] * 25, 0.8, 20),
        ([2.0, 1], 1, 2),
    ],
)
def test_the_share_is_reached_exactly_and_rounding_costs_no_input(
    strengths: list[float], share: float, expected: int
) -> None:
    assert carriers(np.array([strengths]), share).tolist() == [expected]


@given(layers(), st.randoms(use_true_random=False))
def test_permuting_the_filters_of_an_ungrouped_layer_permutes_the_rows(
    case: tuple[np.ndarray, int], random: Any
) -> None:
    weight = case[0]
    order = list(range(len(weight)))
    random.shuffle(order)

    before, after = links_of(weight), links_of(weight[order])

    assert np.array_equal(after.matrix, before.matrix[order])
    assert np.array_equal(after.links, before.links[order])
    assert np.array_equal(after.carriers, before.carriers[order])
    assert after.unread == before.unread


@given(layers())
def test_a_grouped_layer_is_the_block_diagonal_of_its_groups(case: tuple[np.ndarray, int]) -> None:
    weight, groups = case

    whole = links_of(weight, groups)

    parts = [links_of(part) for part in np.split(weight, groups)]
    rows, columns = parts[0].matrix.shape
    for a, part in enumerate(parts):
        for b in range(groups):
            block = whole.matrix[a * rows : (a + 1) * rows, b * columns : (b + 1) * columns]
            assert np.array_equal(block, part.matrix) if a == b else np.isnan(block).all()


@given(layers(), st.sampled_from([0.25, 3.0, 7.0, -1.0, 1024.0]), st.sampled_from(["l1", "l2", "max"]))
def test_scaling_the_weights_leaves_links_and_shares(case: tuple[np.ndarray, int], factor: float, norm: str) -> None:
    weight, groups = case

    before = links_of(weight, groups, norm=norm)
    after = links_of(weight * np.float32(factor), groups, norm=norm)

    assert np.array_equal(after.links, before.links)
    assert np.array_equal(after.carriers, before.carriers)
    np.testing.assert_allclose(after.matrix, before.matrix * abs(factor), rtol=1e-14)


@given(layers())
def test_folding_a_norm_that_multiplies_by_one_changes_nothing(case: tuple[np.ndarray, int]) -> None:
    weight, groups = case
    conv = Conv("conv", weight, groups, scale=np.ones(len(weight)), shift=np.full(len(weight), 5.0))

    plain, folded = run(conv).layers[0], run(conv, fold_norm=True).layers[0]

    assert np.array_equal(plain.matrix, folded.matrix, equal_nan=True)
    assert (plain.folded, folded.folded) == ((), ("conv_bn",))


def test_a_norm_that_multiplies_by_zero_makes_a_filter_idle_once_folded() -> None:
    conv = Conv("conv", np.ones((3, 2, 1, 1), np.float32), scale=np.array([1.0, 0, 1]))

    assert "connectivity/idle-filter" not in findings(conv)
    idle = findings(conv, fold_norm=True)["connectivity/idle-filter"]
    assert idle.channels == (1,)
    assert "filters/zero" not in idle.remedy  # which takes the weights as they are stored


def test_slices_up_to_eps_count_as_zero_and_weigh_nothing() -> None:
    weight = np.array([[0.5, 0.5000001, -3.0]], np.float32).reshape(1, 3, 1, 1)

    links = links_of(weight, eps=0.5)

    assert links.links.tolist() == [[False, True, True]]
    assert links.matrix[0, 0] == 0


def test_maps_that_nobody_reads_and_filters_that_read_nothing_are_found() -> None:
    weight = np.ones((4, 3, 3, 3), np.float32)
    weight[:, 1], weight[2] = 0, 0

    found = findings(Conv("conv", weight))

    assert set(found) == {"connectivity/unread-input", "connectivity/idle-filter"}
    assert found["connectivity/unread-input"].channels == (1,)
    assert found["connectivity/unread-input"].message == "'conv' has 1 input map (of 3) read by no filter: 1."
    assert found["connectivity/idle-filter"].channels == (2,)
    assert all(f.severity is Severity.WARNING and f.layer == "conv" for f in found.values())
    assert "filters/zero" in found["connectivity/idle-filter"].remedy


def test_with_a_tolerance_of_ones_own_such_findings_only_inform() -> None:
    weight = np.full((2, 2, 1, 1), 0.1, np.float32)

    found = findings(Conv("conv", weight), eps=0.2)

    assert {f.severity for f in found.values()} == {Severity.INFO}


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_reported_and_hurt_no_other_layer(number: float) -> None:
    weight = np.ones((4, 3, 3, 3), np.float32)
    weight[2, 1, 0, 0] = number
    blocks = shown(Conv("bad", weight), Conv("good", np.ones((2, 4, 1, 1), np.float32)))

    (finding,) = (b for b in blocks if isinstance(b, Finding))
    bad, good = (b for b in blocks if isinstance(b, Heatmap))
    table = next(b for b in blocks if isinstance(b, Table))

    assert (finding.rule, finding.severity, finding.channels) == ("connectivity/not-finite", Severity.ERROR, (2,))
    assert np.argwhere(~np.isfinite(bad.values)).tolist() == [[2, 1]]
    assert dict(bad.meanings)[bad.values[2, 1]] == "NaN or Inf among the weights"
    assert bad.scale.high == 9
    assert np.isfinite(good.values).all()
    assert [cell(table, f"{which} inputs", row) for which in ("fewest", "most") for row in (0, 1)] == [3, 4, 3, 4]


def test_the_matrix_of_a_small_layer_is_shown_as_it_is() -> None:
    weight = np.arange(1, 7, dtype=np.float32).reshape(2, 3, 1, 1)

    (heatmap,) = (b for b in shown(Conv("conv", weight)) if isinstance(b, Heatmap))

    assert heatmap.values.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert (heatmap.scale.kind, heatmap.scale.low, heatmap.scale.high) == (ScaleKind.SEQUENTIAL, 0, 6)
    assert heatmap.row_labels == ("0", "1")
    assert "one link" in heatmap.caption


@given(layers(), st.integers(1, 9))
def test_a_large_matrix_is_averaged_over_its_possible_links(case: tuple[np.ndarray, int], side: int) -> None:
    weight, groups = case
    strength, _ = slow(weight, groups)
    rows, columns = (-(-n // side) for n in strength.shape)

    view = overview(links_of(weight, groups), side)

    assert view.step == (rows, columns)
    assert max(view.values.shape) <= side
    for r, line in enumerate(view.values):
        for c, value in enumerate(line):
            part = strength[r * rows : (r + 1) * rows, c * columns : (c + 1) * columns]
            possible = part[~np.isnan(part)]
            expected = math.fsum(possible) / len(possible) if len(possible) else math.nan
            assert value == pytest.approx(expected, rel=1e-14, nan_ok=True)


def test_an_averaged_matrix_says_so_and_labels_its_cells() -> None:
    weight = np.ones((20, 9, 1, 1), np.float32)

    (heatmap,) = (b for b in shown(Conv("conv", weight), max_side=8) if isinstance(b, Heatmap))

    assert heatmap.row_labels == ("0-2", "3-5", "6-8", "9-11", "12-14", "15-17", "18-19")
    assert heatmap.column_labels == ("0-1", "2-3", "4-5", "6-7", "8")
    assert "mean over the possible links of 3 output x 2 input maps (20 x 9 maps in all)" in heatmap.caption


def test_a_huge_depthwise_layer_costs_no_more_than_its_weights() -> None:
    channels = 1_000_000  # its full matrix would hold 10^12 numbers
    blocks = shown(Conv("conv", np.ones((channels, 1, 1, 1), np.float32), groups=channels))

    (heatmap,) = (b for b in blocks if isinstance(b, Heatmap))

    assert max(heatmap.values.shape) <= 128
    assert np.isfinite(heatmap.values).sum() == len(heatmap.values)


def test_the_table_holds_the_numbers_of_every_layer() -> None:
    weight = np.ones((4, 3, 2, 2), np.float32)
    weight[0, 1:], weight[3] = 0, 0
    blocks = shown(Conv("a", weight), Conv("b", np.ones((4, 1, 3), np.float32), groups=4))

    table = next(b for b in blocks if isinstance(b, Table))

    assert table.rows[0] == ("a", "Conv", 3, 4, 1, False, 12, 5, 7 / 12, 0, 1, 1.0, 3.0, 3.0)
    assert table.rows[1] == ("b", "Conv", 4, 4, 4, True, 4, 0, 1.0, 0, 0, 1.0, 1.0, 1.0)
    assert isinstance(blocks[0], Note)


def test_an_all_zero_layer_has_no_carriers_and_a_scale_with_two_ends() -> None:
    blocks = shown(Conv("conv", np.zeros((2, 2, 3, 3), np.float32)))

    table, heatmap = (next(b for b in blocks if isinstance(b, kind)) for kind in (Table, Heatmap))

    assert [cell(table, name) for name in ("density", "fewest inputs", "most inputs")] == [0.0, None, None]
    assert (heatmap.scale.low, heatmap.scale.high) == (0, 1)
    assert dict(heatmap.meanings)[0.0] == "exactly 0: weights that count as zero"


def test_a_transposed_convolution_is_read_output_first_like_any_other() -> None:
    weight = np.random.default_rng(2).normal(size=(6, 2, 3, 3)).astype(np.float32)
    links = run(Conv("up", weight, groups=2, op="ConvTranspose")).layers[0]

    np.testing.assert_allclose(links.matrix, slow(weight, 2)[0], rtol=1e-14)


def test_a_layer_without_fixed_weights_is_listed_and_the_others_are_done() -> None:
    blocks = shown(Conv("dynamic", shape=(4, 3, 3, 3)), Conv("fixed", np.ones((2, 4, 1, 1), np.float32)))

    links, left_out = (b for b in blocks if isinstance(b, Table))

    assert [row[0] for row in links.rows] == ["fixed"]
    assert left_out.rows == (("dynamic", "its weights are computed while the model runs"),)


def test_a_model_without_any_fixed_weights_is_inapplicable() -> None:
    with pytest.raises(Inapplicable, match=r"no layer that was asked for has fixed weights.*dynamic"):
        run(Conv("dynamic", shape=(4, 3, 3, 3)))


@pytest.mark.parametrize(
    "params",
    [{"norm": "l3"}, {"share": 0}, {"share": 1.1}, {"eps": -1}, {"layers": []}, {"layers": [""]}, {"max_side": 1},
     {"max_side": 10_000}, {"sahre": 0.5}, {"eps": math.nan}, {"share": math.nan}],
)  # fmt: skip
def test_parameters_out_of_range_or_unknown_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ConnectivityParams(**params)


def test_every_parameter_is_described() -> None:
    fields = ConnectivityParams.model_json_schema()["properties"]

    assert all(entry["description"] for entry in fields.values())
