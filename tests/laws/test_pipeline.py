"""What must not change, or must change in a known way, when the same question is put differently: whole runs.

Weights, biases and inputs are small integers, so float32 is exact in whatever order a kernel adds.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import SAME, model

from inspector import Array, BatchInfo, Report, Table, service
from inspector.analysis.groups import Groups
from inspector.analysis.plan import Plan, make_plan
from inspector.analysis.run import Totals, conclude
from inspector.analysis.runner import Setting
from inspector.analysis.store import from_bytes, to_bytes
from inspector.control import Stop
from inspector.report import AnalysisResult
from inspector.runtime.data import Batch

COUNT = 33
EXACT_COLUMNS = ("tap", "channel", "zero fraction", "active in", "max", "min", "verdict")


def whole(*shape: int, seed: int = 0, low: int = -3, high: int = 3) -> Array:
    """Random integers as float32."""
    return np.random.default_rng(seed).integers(low, high, shape, endpoint=True).astype(np.float32)


WEIGHTS: Mapping[str, Array] = {
    "w": whole(6, 3, 3, 3, seed=1), "b": np.array([5, -10, -30, -20, -60, -500], np.float32),
    "d": whole(6, 1, 3, 3, seed=3), "e": np.array([-20, 0, -50, -10, -1e5, 20], np.float32),
    "p": whole(5, 6, 1, 1, seed=5), "q": np.array([0, -30, -100, -20, -1e6], np.float32),
}  # fmt: skip
"""Biases that leave some channels always on, some for strong inputs only, some never."""
NETS = {
    "chain": f"[c] a = Conv {SAME} (x, w, b) r = Relu(a) [f] g = Conv <group=6, strides=[2,2]> (r, d, e) s = Relu(g) "
             "[h] k = Conv(s, p, q) y = Relu(k)",
    "residual": f"[c] a = Conv {SAME} (x, w, b) r = Relu(a) [f] g = Conv <group=6, pads=[1,1,1,1]> (r, d, e) "
                "t = Add(g, r) s = Relu(t) [h] k = Conv(s, p, q) y = Relu(k)",
    "linear": f"[c] a = Conv {SAME} (x, w, b) r = LeakyRelu <alpha=0.5> (a) [f] g = Conv <group=6> (r, d, e) "
              "s = Relu(g) [h] y = Conv(s, p, q)",
}  # fmt: skip
ALL = pytest.mark.parametrize("net", NETS)


@functools.cache
def build(net: str) -> bytes:
    return changed(net)


def changed(net: str, **weights: Array) -> bytes:
    """The net with some of its weights replaced."""
    return model(NETS[net], inputs="float[N,3,H,W] x", weights={**WEIGHTS, **weights})


def inputs(count: int = COUNT, seed: int = 9, height: int = 7, width: int = 6) -> Array:
    """Pictures of which every fourth is empty and the others of different strength."""
    x = whole(count, 3, height, width, seed=seed)
    x[::4] = 0
    return x * (np.arange(count) % 3).reshape(-1, 1, 1, 1).astype(np.float32)


def channels(result: AnalysisResult) -> list[dict[str, Any]]:
    """Rows of the table of channels, by column."""
    assert result.failure is None
    (table,) = (b for b in result.blocks if isinstance(b, Table) and b.title == "Sparsity by channel")
    return [dict(zip((c.name for c in table.columns), row, strict=True)) for row in table.rows]


def audit(data: bytes, x: Array, **options: Any) -> list[dict[str, Any]]:
    return channels(service.audit(data, x, ["sparsity"], **options).result("sparsity"))


def exact(rows: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Without the means, which depend on the order of adding in their last bits."""
    return [[row[name] for name in EXACT_COLUMNS] for row in rows]


def assert_equal(rows: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Counts and extremes exactly, means to 1e-6."""
    assert exact(rows) == exact(expected)
    assert [row["mean"] for row in rows] == pytest.approx([row["mean"] for row in expected], rel=1e-6, abs=1e-6)


@ALL
def test_the_nets_have_channels_of_every_kind(net: str) -> None:
    """So that what is said below is said of something."""
    found = [row["verdict"] for row in audit(build(net), inputs())]
    assert "dead" in found
    assert "" in found
    assert any(0 < row["active in"] < COUNT for row in audit(build(net), inputs()))


@ALL
@pytest.mark.parametrize("fidelity", ["exact", "fast"])
@pytest.mark.parametrize("size", [2, 7, 32])
def test_the_batch_size_changes_nothing(net: str, fidelity: str, size: int) -> None:
    single = audit(build(net), inputs(), fidelity=fidelity, batch_size=1)
    assert_equal(audit(build(net), inputs(), fidelity=fidelity, batch_size=size), single)


@ALL
def test_exact_and_fast_runs_of_whole_numbers_agree(net: str) -> None:
    assert_equal(audit(build(net), inputs(), fidelity="fast"), audit(build(net), inputs(), fidelity="exact"))


@given(st.sampled_from(list(NETS)), st.permutations(range(COUNT)))
@settings(max_examples=15)
def test_the_order_of_the_inputs_changes_nothing(net: str, order: list[int]) -> None:
    assert_equal(audit(build(net), inputs()[order]), audit(build(net), inputs()))


@given(st.sampled_from(["chain", "residual"]), st.integers(0, 99), st.integers(1, 6), st.integers(1, 6))
@settings(max_examples=20)
def test_dead_over_two_sets_of_inputs_is_dead_over_the_one_and_the_other(net: str, seed: int, n: int, m: int) -> None:
    one, other = inputs(n, seed), inputs(m, seed + 1)
    dead = [
        {i for i, row in enumerate(audit(build(net), x)) if "dead" in row["verdict"].split(", ")}
        for x in (one, other, np.concatenate([one, other]))
    ]
    assert dead[2] == dead[0] & dead[1]


def plan_of(net: str) -> Plan:
    return make_plan(service.load(build(net)), ["sparsity"], allow_maps=False)


def shard(net: str, x: Array, first: int) -> Totals:
    """The summaries of inputs that stand at `first` and after in the whole data set, in batches of 4."""
    view, plan = service.load(build(net)), plan_of(net)
    observer = Setting(
        preprocess="", device="cpu", fidelity="fast", batch_size=4, watch=lambda _: None, stop=Stop()
    ).observer(view, plan.requests)
    ids = tuple(f"input[{first + i}]" for i in range(len(x)))
    feeds = (Batch({"x": x[i : i + 4]}, BatchInfo(ids[i : i + 4], first + i)) for i in range(0, len(x), 4))
    groups = Groups(plan)
    for rows, batch in observer(feeds):
        groups.add(rows, batch)
    return groups.finish()


def merged(plan: Plan, shards: Sequence[Totals]) -> Totals:
    result = Totals(plan)
    for tap in shards[0].summaries[0]:
        result.summaries[0][tap] = functools.reduce(lambda a, b: a + b, (s.summaries[0][tap] for s in shards))
    return result


def tables(report: Report | tuple[AnalysisResult, ...]) -> list[Table]:
    result = report.result("sparsity") if isinstance(report, Report) else report[0]
    return [b for b in result.blocks if isinstance(b, Table)]


@ALL
@pytest.mark.parametrize("cuts", [(16,), (1, 2, 30), (5, 12, 20, 32)], ids=str)
def test_shards_of_a_data_set_add_up_to_the_report_of_one_pass(net: str, cuts: tuple[int, ...]) -> None:
    """Each shard a run of its own, kept as bytes, added up last to first."""
    plan, x = plan_of(net), inputs()
    shards = [shard(net, x[a:b], a) for a, b in itertools.pairwise((0, *cuts, COUNT))]
    stored = [from_bytes(plan, to_bytes(plan, s)) for s in reversed(shards)]
    results = conclude(service.load(build(net)), plan, merged(plan, stored), None)
    expected = service.audit(build(net), x, ["sparsity"])
    assert_equal(channels(results[0]), channels(expected.result("sparsity")))
    assert [t.title for t in tables(results)] == [t.title for t in tables(expected)]
    silent, expected_silent = tables(results)[-1], tables(expected)[-1]
    assert [row[1:] for row in silent.rows] == [row[1:] for row in expected_silent.rows]
    found, wanted = results[0].findings, expected.result("sparsity").findings
    assert [(f.rule, f.channels, f.severity) for f in found] == [(f.rule, f.channels, f.severity) for f in wanted]


@ALL
def test_the_zero_fraction_of_a_union_is_the_mean_weighted_by_elements(net: str) -> None:
    """Also of inputs of different sizes, where a map is no longer a fixed number of elements."""
    plan, small, large = plan_of(net), inputs(6), inputs(9, 4, 11, 8)
    parts = [shard(net, small, 0), shard(net, large, 6)]
    (union,) = conclude(service.load(build(net)), plan, merged(plan, parts), None)
    view = service.load(build(net))
    elements = [{name: a[:, 0].size for name, a in service.activations(view, x).items()} for x in (small, large)]
    one, other = audit(build(net), small), audit(build(net), large)
    for a, b, both in zip(one, other, channels(union), strict=True):
        n, m = (e[both["tap"]] for e in elements)
        assert n != m
        assert both["zero fraction"] == pytest.approx((n * a["zero fraction"] + m * b["zero fraction"]) / (n + m))
        assert both["active in"] == a["active in"] + b["active in"]
        assert both["max"] == max(a["max"], b["max"])


@pytest.mark.parametrize("power", [-20, -1, 3, 20])
@pytest.mark.parametrize("fidelity", ["exact", "fast"])
def test_scaling_a_layer_by_a_power_of_two_scales_its_maps_and_keeps_its_zeros(power: int, fidelity: str) -> None:
    """Random weights: a power of two changes no rounding."""
    rng, scale = np.random.default_rng(8), np.float32(2.0**power)
    weight, bias = (rng.normal(size=WEIGHTS[k].shape).astype(np.float32) for k in "wb")
    x = rng.normal(size=(9, 3, 7, 6)).astype(np.float32)
    plain = audit(changed("chain", w=weight, b=bias), x, fidelity=fidelity)[:6]
    scaled = audit(changed("chain", w=weight * scale, b=bias * scale), x, fidelity=fidelity)[:6]
    for before, after in zip(plain, scaled, strict=True):
        assert 0 < before["zero fraction"] < 1
        for name in ("zero fraction", "active in", "verdict"):
            assert after[name] == before[name]
        for name in ("max", "min"):
            assert after[name] == before[name] * scale
        assert after["mean"] == pytest.approx(before["mean"] * scale, rel=1e-6)


@ALL
@pytest.mark.parametrize("fidelity", ["exact", "fast"])
def test_permuting_the_filters_of_a_layer_permutes_its_rows_and_leaves_the_last_layer_alone(
    net: str, fidelity: str
) -> None:
    """The depthwise layer after it is permuted alike, and the layer after that reads them where they are now."""
    order = np.array([3, 0, 5, 1, 4, 2])
    other = {k: WEIGHTS[k][order] for k in "wbde"} | {"p": WEIGHTS["p"][:, order]}
    rows = audit(build(net), inputs(), fidelity=fidelity)
    permuted = audit(changed(net, **other), inputs(), fidelity=fidelity)
    expected = [rows[start + i] for start in (0, 6) for i in order] + rows[12:]
    for row, wanted in zip(permuted, expected, strict=True):
        assert_equal([row | {"channel": 0}], [wanted | {"channel": 0}])
