"""Metrics of the built-in analyses, each against whole maps or weights in plain NumPy, and against the page."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from models import model
from onnx import numpy_helper

import inspector
from inspector.report import AnalysisResult
from inspector.samples import SAMPLES

DIGITS, HOT, PATCHES = SAMPLES
PAGE = Path(__file__).resolve().parents[2] / "docs" / "numbers.md"


def by_place(result: AnalysisResult) -> dict[str, dict[str, np.ndarray]]:
    found: dict[str, dict[str, np.ndarray]] = {}
    for metric in result.metrics:
        assert metric.name not in found.setdefault(metric.where, {})
        found[metric.where][metric.name] = metric.values
    return found


def test_sparsity_metrics_are_those_of_whole_maps() -> None:
    pictures = f"{HOT.pictures}/3"
    report = inspector.audit(HOT.model, pictures, ["sparsity"], preprocess="unit", fidelity="exact")
    published = by_place(report.results[0])
    maps = inspector.activations(HOT.model, pictures, preprocess="unit")
    assert list(published) == list(maps)
    for where, a in maps.items():
        flat = a.reshape(*a.shape[:2], -1).astype(np.float64)
        zero, fires = (flat == 0).mean((0, 2)), (flat != 0).any(2)
        constant = (flat == flat[:1, :, :1]).all((0, 2)) & fires.any(0)
        expected = {
            "inputs": len(a),
            "channels": a.shape[1],
            "zero_fraction": zero.mean(),
            "dead": (~fires.any(0)).sum(),
            "dead_share": (~fires.any(0)).sum() / a.shape[1],
            "rare": (fires.any(0) & (fires.mean(0) < 0.01)).sum(),
            "silent_share": 1 - fires.mean(),
            "never_zero": (flat != 0).all((0, 2)).sum(),
            "constant": constant.sum(),
            "not_finite": 0,
            "peak": flat.max(),
            "mean": flat.mean(),
            "channel_finite": np.full(a.shape[1], len(a)),
            "channel_active": fires.sum(0),
            "channel_dead": ~fires.any(0),
            "channel_constant": constant,
            "channel_zero_fraction": zero,
            "channel_peak": flat.max((0, 2)),
            "channel_mean": flat.mean((0, 2)),
        }
        assert set(published[where]) == {*expected, "structurally_dead"}
        for name, value in expected.items():
            np.testing.assert_allclose(published[where][name], value, rtol=1e-5, atol=1e-7, err_msg=name)


@pytest.mark.parametrize(("active", "share"), [(7, 0.3), (9, 0.1), (2, 0.8), (0, 1.0), (10, 0.0)])
def test_shares_of_silent_maps_are_the_nearest_numbers(active: int, share: float) -> None:
    weight = np.where(np.arange(10) < active, 1, -1).astype(np.float32).reshape(10, 1, 1, 1)
    net = model(
        "a = Conv(x, w) y = Relu(a)", inputs="float[N,1,4,4] x", outputs="float[N,10,4,4] y", weights={"w": weight}
    )
    report = inspector.audit(net, np.ones((1, 1, 4, 4), np.float32), ["sparsity"])
    published = by_place(report.results[0])
    assert [float(of["silent_share"]) for of in published.values()] == [share]


@pytest.mark.parametrize("channels", [3, 10, 96])
@pytest.mark.parametrize("count", [1, 3])
def test_a_mean_of_equal_shares_is_that_share(channels: int, count: int) -> None:
    net = model(
        "a = Conv(x, w) y = Clip(a, low, high)",
        inputs="float[N,1,1,10] x",
        outputs=f"float[N,{channels},1,10] y",
        weights={"w": np.ones((channels, 1, 1, 1), np.float32), "low": np.float32([0])[0], "high": np.float32([1])[0]},
    )
    x = np.float32([-1.0] * count + [2.0] * count + [0.5] * (10 - 2 * count)).reshape(1, 1, 1, 10)
    report = inspector.audit(net, x, ["sparsity", "distribution"])
    (sparsity,), (distribution,) = (by_place(result).values() for result in report.results)
    assert float(sparsity["zero_fraction"]) == count / 10
    assert float(distribution["saturated_share"]) == count / 10


def test_where_zeros_mean_nothing_no_metric_speaks_of_them() -> None:
    report = inspector.audit(PATCHES.model, PATCHES.pictures, ["sparsity"], preprocess="signed")
    smooth = by_place(report.results[0])["head/conv:act"]  # SiLU
    assert "near_zero" in smooth
    assert smooth.keys().isdisjoint({"dead", "dead_share", "zero_fraction", "rare", "silent_share", "channel_dead"})


def test_weight_metrics_are_those_of_the_file() -> None:
    weights = {t.name: numpy_helper.to_array(t) for t in onnx.load(HOT.model).graph.initializer}
    filters, links = map(by_place, inspector.inspect(HOT.model, None, ["filters", "connectivity"]).results)
    for layer in ("conv1", "conv2", "conv3"):
        w = weights[f"{layer}.weight"].astype(np.float64).reshape(*weights[f"{layer}.weight"].shape[:2], -1)
        zero = (w == 0).all(2)
        expected = {
            "filters": len(w),
            "zero": zero.all(1).sum(),
            "copies": len(w) - len(np.unique(w.reshape(len(w), -1), axis=0)),
            "not_finite": 0,
            "channel_l1": np.abs(w).sum((1, 2)),
            "channel_l2": np.sqrt((w**2).sum((1, 2))),
        }
        assert set(filters[layer]) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(filters[layer][name], value, rtol=1e-12, err_msg=name)
        read = {
            "possible_links": zero.size,
            "zero_links": zero.sum(),
            "density": 1 - zero.mean(),
            "unread_inputs": zero.all(0).sum(),
            "idle_filters": zero.all(1).sum(),
            "not_finite": 0,
        }
        assert {name: float(value) for name, value in links[layer].items()} == pytest.approx(read)


@pytest.mark.parametrize("name", ["sparsity", "filters", "connectivity", "distribution", "selectivity"])
def test_the_page_defines_the_rules_that_are_declared(name: str) -> None:
    (info,) = [p for p in inspector.plugins() if p.name == name]
    defined = re.findall(rf"^\| `({name}/[\w-]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert Counter(defined) == Counter(info.rules)


@pytest.mark.parametrize("name", ["sparsity", "filters", "connectivity", "distribution", "selectivity"])
def test_the_page_defines_the_metrics_that_are_declared(name: str) -> None:
    (info,) = [p for p in inspector.plugins() if p.name == name]
    defined = re.findall(rf"^\| `{name}\.(\w+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert Counter(defined) == Counter(m.name for m in info.metrics)
