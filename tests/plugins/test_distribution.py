"""The distribution analysis against its slow twin, on planted channels, and at the bounds of activations."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from identity import findings, identity_net, published, rows
from models import RUNS, Case, numbers
from reference import Spread, scores

from inspector import Array, Heatmap, Report, Severity, Tap, service
from inspector.samples import SAMPLES, Sample

QUANTILES = ("p1", "p50", "p99")
NETS = {name: case for name, case in RUNS.items() if not name.startswith(("opset_", "batch_norm_"))}
TO_A_64TH = 1 / 64 + 1e-4
"""A mean that is rounded to float32 may lie in the next bucket."""


def audited(x: Array, net: bytes | None = None, **params: object) -> Report:
    """A report on maps that are these (N, 3, H, W), but for the activation."""
    request = service.AnalysisRequest("distribution", params)
    return service.audit(net or identity_net(), x, [request], fidelity="exact")


def check(found: list[dict[str, Any]], maps: Array, at_bound: Callable[[float], bool] | None, rel: float) -> None:
    """The rows of one tap; means to `rel` of the largest |a|, quantiles to a 64th, counts exactly."""
    twins = [Spread.of(maps[:, c], at_bound) for c in range(maps.shape[1])]
    finite = np.abs(maps[np.isfinite(maps)], dtype=np.float64)
    near = rel * float(finite.max(initial=0))
    for row, twin, score in zip(found, twins, scores([t.size for t in twins]), strict=True):
        same(row["mean"], twin.mean, rel, near)
        same(row["deviation"], twin.deviation, rel, near)
        same(row["score"], score, 10 * rel, 1e-9)
        same(row["at bound"], twin.at_bound, 0, 0)
        for name, mean, peak in zip(QUANTILES, twin.means, twin.peaks, strict=True):
            same(row[f"{name} mean"], mean, TO_A_64TH, near)
            same(row[f"{name} peak"], peak, TO_A_64TH, near if rel > 1e-5 else 0)
        flags = {"unvarying": twin.unvarying, "not finite": twin.not_finite}
        assert set(row["verdict"].split(", ")) - {"", "dormant", "saturated"} == {n for n, f in flags.items() if f}
        if abs(score - 0.025) > 1e-4:
            assert ("dormant" in row["verdict"]) == (score <= 0.025 and not twin.not_finite)


def same(found: float | None, expected: float, rel: float, near: float) -> None:
    assert (math.nan if found is None else found) == pytest.approx(expected, rel=rel, abs=near, nan_ok=True)


def check_all(report: Report, taps: tuple[Tap, ...], maps: dict[str, Array], rel: float = 1e-5) -> None:
    channels, layers = (rows(report, "distribution", f"Distribution by {what}") for what in ("channel", "layer"))
    for layer, tap in zip(layers, taps, strict=True):
        own = [row for row in channels if row["tap"] == tap.name]
        assert [row["channel"] for row in own] == list(range(tap.channels))
        check(own, maps[tap.name], None, rel)
        for flag in ("dormant", "unvarying", "not finite"):
            assert layer[flag] == sum(flag in row["verdict"].split(", ") for row in own)
        assert layer["mean"] == pytest.approx(np.mean([row["mean"] for row in own]))
        assert layer["median peak"] == pytest.approx(np.median([row["p50 peak"] for row in own]))
        assert layer["greatest p99 peak"] == max(row["p99 peak"] for row in own)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.name)
def test_every_number_on_the_samples_is_that_of_the_slow_twin(sample: Sample) -> None:
    view, folder = service.load(sample.model), min(sample.pictures.iterdir())
    maps = service.activations(view, folder, preprocess=sample.preprocess)
    report = service.audit(view, folder, ["distribution"], preprocess=sample.preprocess, fidelity="exact")
    check_all(report, view.taps(), maps)


@pytest.mark.parametrize("case", NETS.values(), ids=NETS.keys())
def test_every_number_on_a_tiny_net_is_that_of_the_slow_twin(case: Case) -> None:
    view, x = service.load(case.data), case.inputs(3)
    taps = tuple(dict.fromkeys(layer.tap("act") for layer in view.layers))  # type: ignore[arg-type]
    maps = service.activations(view, x, [tap.name.replace("[", "[[]") for tap in taps])
    report = service.inspect(view, x, ["distribution"])
    check_all(report, taps, maps, rel=1e-3 if case.dtype == "float16" else 1e-5)


def test_maps_that_are_not_finite_count_as_that_and_in_nothing_else() -> None:
    x = numbers(4, 3, 6, 5)
    x[1, 0, 2, 2], x[:, 1, 0, 0] = np.inf, np.nan
    report = audited(x)
    maps = service.activations(identity_net(), x)["c:act"]
    check(rows(report, "distribution", "Distribution by channel"), maps, None, 1e-5)
    assert rows(report, "distribution", "Distribution by layer")[0]["not finite"] == 2


# ------------------------------------------------------------------------------------------------ bounds

THIRD = np.float32(1 / 3)


@pytest.mark.parametrize(
    ("net", "at_bound", "where"),
    [
        (identity_net("Clip", lo=0.0, hi=6.0), lambda v: v == 6, "at 6"),
        (identity_net("Clip", lo=-1.0, hi=float(THIRD)), lambda v: v in (-1, THIRD), "at -1 or 0.333333"),
        (identity_net("HardSigmoid <alpha=0.2, beta=0.5>"), lambda v: v == 1, "at 1"),
        (identity_net("Sigmoid"), lambda v: v < np.float32(0.01) or v > np.float32(0.99), "within 0.01 of 0 or 1"),
        (identity_net("Tanh"), lambda v: abs(v) > np.float32(0.99), "within 0.01 of -1 or 1"),
    ],
    ids=["clip", "hardtanh", "hard_sigmoid", "sigmoid", "tanh"],
)
def test_elements_at_a_bound_are_counted(net: bytes, at_bound: Callable[[float], bool], where: str) -> None:
    """Values on both sides of every bound, at it, and one step of float32 away from it."""
    edges = [b for bound in (6, -1, THIRD, 2.5, 0) for b in beside(bound)]
    x = np.concatenate([edges, np.linspace(-9, 9, 360 - len(edges))]).astype(np.float32)
    x = np.random.default_rng(0).permutation(x).reshape(4, 3, 6, 5)
    report, maps = audited(x, net), service.activations(net, x)["c:act"]
    check(rows(report, "distribution", "Distribution by channel"), maps, at_bound, 1e-5)
    (layer,) = rows(report, "distribution", "Distribution by layer")
    assert layer["bound"] == where
    assert layer["at bound"] == pytest.approx(np.mean([at_bound(float(v)) for v in maps.ravel()]), rel=1e-12)
    assert published(report, "distribution")["c:act"]["saturated_share"] == pytest.approx(layer["at bound"])


def test_a_channel_that_is_never_finite_has_no_part_in_the_mean_share_at_a_bound() -> None:
    x = np.full((2, 3, 2, 2), 7, np.float32)
    x[:, 0], x[:, 1] = np.nan, 1
    net = identity_net("Clip", lo=0.0, hi=6.0)
    assert published(audited(x, net), "distribution")["c:act"]["saturated_share"] == 0.5


def beside(bound: float) -> list[np.float32]:
    at = np.float32(bound)
    return [at, np.nextafter(at, np.float32(-np.inf)), np.nextafter(at, np.float32(np.inf))]


@pytest.mark.parametrize("activation", ["Relu", "HardSwish", "LeakyRelu", "Softplus"])
def test_where_nothing_is_bounded_nothing_is_said_about_bounds(activation: str) -> None:
    report = audited(numbers(4, 3, 6, 5, scale=99), identity_net(activation))
    (layer,) = rows(report, "distribution", "Distribution by layer")
    assert layer.keys().isdisjoint({"bound", "at bound", "saturated"})
    assert not any("saturated" in name for name in published(report, "distribution")["c:act"])


def test_a_channel_beyond_the_bound_for_most_elements_is_saturated_and_one_below_is_not() -> None:
    x = np.ones((4, 3, 2, 2), np.float32)
    x[:, 1, 0], x[:, 2] = 7, 7
    x[0, 1, 1, 1] = 7
    net = identity_net("Clip", lo=0.0, hi=6.0)
    assert findings(audited(x, net), "distribution")["saturated"].channels == (1, 2)
    assert findings(audited(x, net, saturated=9 / 16), "distribution")["saturated"].channels == (1, 2)  # just
    found = findings(audited(x, net, saturated=0.6), "distribution")["saturated"]
    assert found.channels == (2,)
    assert found.severity is Severity.WARNING
    assert found.message == "c:act: 1 of 3 channels has at least 0.6 of its elements at 6"


@pytest.mark.parametrize("activation", ["Sigmoid", "HardSigmoid"])
def test_a_gate_or_an_output_that_is_sure_is_no_warning(activation: str) -> None:
    found = findings(audited(np.full((60, 3, 2, 2), 9, np.float32), identity_net(activation)), "distribution")
    assert found["saturated"].severity is Severity.INFO
    assert "output that is sure" in found["saturated"].remedy


# ------------------------------------------------------------------------------------------------ planted channels


@pytest.mark.parametrize("activation", ["Relu", "LeakyRelu", "Tanh"])
def test_a_quiet_channel_is_dormant_whatever_the_activation(activation: str) -> None:
    x = numbers(60, 3, 6, 5)
    x[:, 1] *= 0.01
    found = findings(audited(x, identity_net(activation)), "distribution")
    assert set(found) == {"dormant"}
    assert found["dormant"].channels == (1,)
    assert "a signal that is worth a look, not a verdict" in found["dormant"].remedy


def test_of_one_input_a_quiet_channel_is_remarked_and_not_called_dormant() -> None:
    x = numbers(1, 3, 6, 5)
    x[:, 1] = -1
    found = findings(audited(x), "distribution")["dormant"]
    assert (found.severity, found.channels) == (Severity.INFO, (1,))
    assert found.message == (
        "c:act: 1 of 3 channels is quiet: its mean |a| for the only input is at most 0.025 of the layer's"
    )


def test_with_tau_0_only_channels_that_are_zero_everywhere_are_dormant() -> None:
    x = numbers(60, 3, 6, 5)
    x[:, 0], x[:, 1] = x[:, 0] * 1e-6, -1
    assert findings(audited(x, tau=0), "distribution")["dormant"].channels == (1,)
    assert findings(audited(np.zeros_like(x), tau=0), "distribution")["dormant"].channels == (0, 1, 2)


def test_few_dormant_channels_are_counted_and_are_no_finding() -> None:
    x = numbers(60, 3, 6, 5)
    x[:, 1] = -1
    report = audited(x, many=0.5)
    assert findings(report, "distribution") == {}
    assert published(report, "distribution")["c:act"]["dormant_share"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(("inputs", "severity"), [(58, Severity.INFO), (59, Severity.WARNING)])
def test_a_channel_with_one_map_for_all_inputs_is_unvarying(inputs: int, severity: Severity) -> None:
    """0.1 is no sum of powers of two, so a mean of means could be off by a little; the map need not be constant."""
    x = numbers(inputs, 3, 6, 5)
    x[:, 2], x[:, 2, 0, 0] = 0.1, 0.7
    found = findings(audited(x), "distribution")
    assert set(found) == {"unvarying"}
    assert (found["unvarying"].channels, found["unvarying"].severity) == ((2,), severity)


@pytest.mark.parametrize("value", [0.1, 0.7, -0.3])
def test_inputs_of_several_sizes_leave_a_map_of_one_value_unvarying(value: float, tmp_path: Path) -> None:
    """Its means differ in their last bits; those of another channel, whose peak is always the same, by more."""
    for number, side in enumerate((20, 23, 30, 224, 7)):
        x = np.full((3, side, side + 3), value, np.float32)
        x[0], x[1, 0, 0] = np.arange(x[0].size).reshape(x[0].shape), value + 1e-4
        np.save(tmp_path / f"{number}.npy", x)
    request = service.AnalysisRequest("distribution")
    report = service.audit(identity_net("LeakyRelu"), tmp_path, [request], fidelity="exact")
    assert findings(report, "distribution")["unvarying"].channels == (2,)


def test_channels_that_are_zero_or_seen_once_or_vary_in_one_input_are_not_unvarying() -> None:
    x = numbers(9, 3, 6, 5)
    x[:, 0], x[:, 1] = -1, 0.5
    x[4, 1, 3, 3] = 0.75
    assert "unvarying" not in findings(audited(x), "distribution")
    assert "unvarying" not in findings(audited(np.ones((1, 3, 6, 5), np.float32)), "distribution")


def test_one_map_of_many_that_differs_in_one_element_is_no_rounding() -> None:
    """The mean over all inputs moves by 2e-6, less than rounding may; the mean of that map moves by 2e-4."""
    x = np.ones((100, 3, 32, 32), np.float32)
    x[7, 0, 3, 3] = 0.8
    assert findings(audited(x), "distribution")["unvarying"].channels == (1, 2)


def test_maps_with_one_mean_and_different_peaks_are_not_unvarying() -> None:
    x = np.zeros((2, 3, 2, 2), np.float32)
    x[0, :, 0], x[1, :, 0, 0] = 1, 2
    assert findings(audited(x), "distribution") == {}


def test_a_quiet_or_fixed_channel_that_is_not_finite_once_is_called_only_that() -> None:
    x = numbers(60, 3, 6, 5)
    x[:, 1], x[:, 2] = x[:, 1] * 0.001, 0.5
    assert set(findings(audited(x), "distribution")) == {"dormant", "unvarying"}
    x[7, 1:, 0, 0] = np.nan
    report = audited(x)
    assert findings(report, "distribution") == {}
    verdicts = [row["verdict"] for row in rows(report, "distribution", "Distribution by channel")]
    assert verdicts == ["", "not finite", "not finite"]


# ------------------------------------------------------------------------------------------------ order, pictures


def test_quantiles_and_counts_do_not_depend_on_batches_or_order() -> None:
    x = numbers(40, 3, 6, 5)
    x[:, 1] *= 0.001
    found = [
        rows(service.audit(identity_net(), data, ["distribution"], fidelity="exact", batch_size=size),
             "distribution", "Distribution by channel")
        for data, size in ((x, 1), (x, 32), (x[::-1].copy(), 7))
    ]  # fmt: skip
    exact = {"verdict", *(f"{q} {of}" for q in QUANTILES for of in ("mean", "peak"))}
    for other in found[1:]:
        for row, first in zip(other, found[0], strict=True):
            assert {name: row[name] for name in exact} == {name: first[name] for name in exact}
            assert row["mean"] == pytest.approx(first["mean"], rel=1e-12)
            assert row["deviation"] == pytest.approx(first["deviation"], rel=1e-9)


def test_the_picture_has_one_row_per_tap_from_the_quietest_channel_to_the_loudest() -> None:
    x = numbers(9, 3, 6, 5)
    x[:, 2] *= 9
    report = audited(x)
    (picture,) = (b for b in report.result("distribution").blocks if isinstance(b, Heatmap))
    found = [row["score"] for row in rows(report, "distribution", "Distribution by channel")]
    assert picture.values[0].tolist() == sorted(min(score, 2.0) for score in found)
    assert picture.values[0, -1] == 2
    assert picture.row_labels[0].endswith(f"({len(found)})")
    assert dict(picture.meanings)[0.0] == "exactly 0: zero everywhere"
