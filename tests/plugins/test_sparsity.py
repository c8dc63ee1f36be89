"""Sparsity of real runs against its slow twin: whole maps of the same run, counted element by element."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from identity import identity_net, published
from models import RUNS, SAME, Case, model, numbers
from reference import Sparsity

from inspector import Array, Finding, Heatmap, Note, Report, Severity, Table, Tap, Zeros, service
from inspector.samples import SAMPLES, Sample

EDGE = 59
"""Inputs from which on 1 - 0.05^(1/n) is at most 0.05."""


def table(report: Report, title: str) -> list[dict[str, Any]]:
    """The rows of a table of the sparsity analysis, cells by column."""
    result = report.result("sparsity")
    assert result.failure is None
    (found,) = (b for b in result.blocks if isinstance(b, Table) and b.title == title)
    return [dict(zip((c.name for c in found.columns), row, strict=True)) for row in found.rows]


def findings(report: Report) -> dict[str, Finding]:
    """By rule; every rule at most once, so only for models of one layer."""
    found = report.result("sparsity").findings
    assert len({f.rule for f in found}) == len(found)
    return {f.rule.removeprefix("sparsity/"): f for f in found}


def verdict(twin: Sparsity, channel: int) -> set[str]:
    flags = {"dead": twin.dead, "rare": twin.rare, "never zero": twin.never_zero, "constant": twin.constant,
             "not finite": twin.not_finite}  # fmt: skip
    return {name for name, flag in flags.items() if flag[channel]}


def verdict_of(row: dict[str, Any]) -> set[str]:
    return set(row["verdict"].split(", ")) - {"", "structurally dead"}


def check_channels(rows: list[dict[str, Any]], twin: Sparsity, *, rel: float = 0.0) -> None:
    """Counts and verdicts equal, extremes to `rel` (0: bit for bit), means to 1e-5."""
    assert [row["channel"] for row in rows] == list(range(len(twin.active)))
    for c, row in enumerate(rows):
        for name, expected, tolerance in (
            ("zero fraction", twin.zero_fraction[c], 0.0),
            ("active in", twin.active[c], 0.0),
            ("max", twin.peak[c], rel),
            ("min", twin.low[c], rel),
            ("mean", twin.mean[c], max(rel, 1e-5)),
        ):
            found = np.nan if row[name] is None else row[name]
            assert found == pytest.approx(expected, rel=tolerance, abs=tolerance, nan_ok=True), (name, c)
        assert verdict_of(row) == verdict(twin, c), c


def check_layer(row: dict[str, Any], tap: Tap, twin: Sparsity) -> None:
    exact = tap.zeros is Zeros.EXACT
    assert (row["tap"], row["tensor"], row["channels"]) == (tap.name, tap.tensor, tap.channels)
    assert (row["after"], row["shared"]) == (tap.activation or "(linear)", tap.shared)
    fraction = None if np.isnan(twin.zero_fraction).all() else pytest.approx(np.nanmean(twin.zero_fraction), rel=1e-12)
    assert row["zero fraction"] == (fraction if exact else None)
    assert row.get("near-zero") == (None if exact else fraction)
    for name in ("dead", "rare", "never zero"):
        assert row.get(name) == (int(getattr(twin, name.replace(" ", "_")).sum()) if exact else None), name
    assert (row["constant"], row["not finite"]) == (int(twin.constant.sum()), int(twin.not_finite.sum()))


def check(report: Report, taps: tuple[Tap, ...], maps: dict[str, Array], *, rel: float = 0.0) -> None:
    """A report on all of these maps, which may be of several layers."""
    channels, silent = table(report, "Sparsity by channel"), table(report, "Silent channels by input")
    for row, tap in zip(table(report, "Sparsity by layer"), taps, strict=True):
        twin = Sparsity.of(maps[tap.name], exact=tap.zeros is Zeros.EXACT)
        check_channels([r for r in channels if r["tap"] == tap.name], twin, rel=rel)
        check_layer(row, tap, twin)
        counts = [r["silent"] for r in silent if r["tap"] == tap.name]
        assert counts == (twin.silent.sum(1)[:8].tolist() if tap.zeros is Zeros.EXACT else [])


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.name)
def test_every_number_on_the_samples_is_that_of_the_slow_twin(sample: Sample) -> None:
    view = service.load(sample.model)
    maps = service.activations(view, sample.pictures, preprocess=sample.preprocess)
    report = service.audit(view, sample.pictures, preprocess=sample.preprocess, fidelity="exact")
    check(report, view.taps(), maps)


def test_the_fast_run_of_the_hot_digits_finds_the_same_dead_channels() -> None:
    """Its maps differ in the last bits, so its counts may; a channel that is off is off by far."""
    hot = SAMPLES[1]
    fast, exact = (
        table(service.audit(hot.model, hot.pictures, preprocess="unit", fidelity=f), "Sparsity by channel")
        for f in ("fast", "exact")
    )
    assert [verdict_of(row) for row in fast] == [verdict_of(row) for row in exact]
    assert sum("dead" in verdict_of(row) for row in fast) == 6 + 11 + 13


@pytest.mark.parametrize("kind", ["act", "norm", "conv"])
@pytest.mark.parametrize("case", RUNS.values(), ids=RUNS.keys())
def test_every_number_on_a_tiny_net_is_that_of_the_slow_twin(case: Case, kind: str) -> None:
    """Element types narrower than float32 are rounded on the way out only, so they agree to their own precision."""
    view, x = service.load(case.data), case.inputs(3)
    taps = tuple(dict.fromkeys(layer.tap(kind) for layer in view.layers))  # type: ignore[arg-type]
    maps = service.activations(view, x, [tap.name.replace("[", "[[]") for tap in taps])
    report = service.inspect(view, x, [f"sparsity:kind={kind}"])
    check(report, taps, maps, rel=1e-3 if case.dtype == "float16" else 0.0)


def audited(x: Array, activation: str = "Relu", **params: object) -> Report:
    """A report on maps that are these (N, 3, H, W), but for the activation."""
    return service.audit(identity_net(activation), x, [service.AnalysisRequest("sparsity", params)])


def test_finite_maps_whose_mean_overflows_are_finite() -> None:
    x = np.ones((2, 3, 8, 8), np.float32)
    x[:, 0], x[1, 1] = 3e38, 6e36
    report = service.audit(identity_net(), x, fidelity="exact")
    assert set(findings(report)) == {"constant"}
    found = {row["channel"]: row for row in table(report, "Sparsity by channel")}
    assert [found[c]["mean"] for c in range(3)] == [None, None, 1]
    assert [found[c]["max"] for c in range(3)] == [float(np.float32(3e38)), float(np.float32(6e36)), 1]


def test_a_map_that_is_not_finite_counts_as_that_and_in_nothing_else() -> None:
    """The first channel is broken for one input of three, the second for all, the third for none."""
    x = numbers(3, 3, 6, 5)
    x[1, 0, 2, 2] = np.inf
    x[:, 1, 0, 0] = np.nan
    report = service.audit(identity_net(), x, fidelity="exact")
    maps = service.activations(identity_net(), x)["c:act"]
    assert np.isfinite(maps).all((2, 3)).sum(0).tolist() == [2, 0, 3]
    check(report, service.load(identity_net()).taps(), {"c:act": maps})
    assert [row["active in"] for row in table(report, "Sparsity by channel")] == [2, 0, 3]
    assert findings(report)["not-finite"].severity is Severity.ERROR
    assert findings(report)["not-finite"].channels == (0, 1)


def test_a_map_that_is_infinite_downwards_alone_is_not_finite_either() -> None:
    x = numbers(3, 3, 6, 5)
    x[1, 2, 3, 3] = -np.inf
    found = findings(service.audit(identity_net("LeakyRelu <alpha=1.0>"), x, ["sparsity"], fidelity="exact"))
    assert found["not-finite"].channels == (2,)


def test_a_channel_of_one_value_that_was_not_finite_once_is_not_constant() -> None:
    x = np.full((3, 3, 6, 5), 0.5, np.float32)
    x[1, 1, 0, 0] = np.nan
    found = findings(service.audit(identity_net(), x, fidelity="exact"))
    assert found["constant"].channels == (0, 2)


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_the_first_input_that_breaks_a_channel_is_named_whatever_the_batches(batch_size: int) -> None:
    x = numbers(6, 3, 6, 5)
    x[4, 0, 2, 2], x[3, 2, 0, 0], x[5] = np.nan, np.inf, np.nan
    finding = findings(service.audit(identity_net(), x, ["sparsity"], fidelity="exact", batch_size=batch_size))
    assert finding["not-finite"].message.endswith("gave NaN or Inf for some input, first for 'array[3]'")
    assert finding["not-finite"].evidence["first input"] == "array[3]"
    assert finding["not-finite"].evidence["its position"] == 3


def test_the_worked_example_of_distiller_comes_out() -> None:
    """Two maps of 3 x 3 per channel, 6 and 9 of 18 elements on: APoZ 66.67 % and 50 %, means 21/18 and 45/18."""
    x = np.zeros((2, 3, 3, 3), np.float32)
    x[0, 0, 0], x[1, 0, 0] = (1, 2, 3), (4, 5, 6)
    x[0, 1], x[1, 1, :2, :2] = [[1, 2, 0], [3, 0, 4], [0, 0, 5]], [[6, 7], [8, 9]]
    rows = table(audited(x), "Sparsity by channel")
    assert [row["zero fraction"] for row in rows] == [12 / 18, 9 / 18, 1]
    assert [row["mean"] for row in rows] == pytest.approx([21 / 18, 45 / 18, 0], rel=1e-6)


def test_a_negative_zero_is_a_zero() -> None:
    x = np.full((2, 3, 6, 5), -0.0, np.float32)
    assert [row["zero fraction"] for row in table(audited(x, "HardSwish"), "Sparsity by channel")] == [1, 1, 1]


def test_hard_swish_is_zero_where_it_is_off_and_not_where_it_is_below_zero() -> None:
    x = np.full((2, 3, 6, 5), -4.0, np.float32)
    x[:, 1], x[1, 2] = -1.0, 2.0
    rows = table(audited(x, "HardSwish"), "Sparsity by channel")
    assert [row["zero fraction"] for row in rows] == [1.0, 0.0, 0.5]
    assert [row["min"] < 0 for row in rows] == [False, True, False]
    assert [row["verdict"] for row in rows] == ["dead", "never zero, constant", ""]


def test_rare_means_a_smaller_share_of_inputs_than_asked_for_and_not_an_equal_one() -> None:
    x = np.zeros((4, 3, 6, 5), np.float32)
    x[0, 0, 0, 0] = x[:2, 1, 0, 0] = 1
    rows = table(audited(x, rare=0.5), "Sparsity by channel")
    assert [row["verdict"] for row in rows] == ["rare", "", "dead"]
    rows = table(audited(x, rare=0.25), "Sparsity by channel")
    assert [row["verdict"] for row in rows] == ["", "", "dead"]


def test_near_zero_is_strictly_nearer_than_asked_for_and_nothing_is_called_dead() -> None:
    x = np.zeros((2, 3, 6, 5), np.float32)
    x[:, 0], x[:, 1], x[:, 2] = 0.5, -0.49, 0.0
    report = audited(x, "LeakyRelu <alpha=1.0>", near=0.5)
    assert [row["zero fraction"] for row in table(report, "Sparsity by channel")] == [0, 1, 1]
    assert {row["verdict"] for row in table(report, "Sparsity by channel")} == {"constant"}
    assert "dead" not in findings(report)


def test_silent_channels_are_listed_for_the_first_inputs_only() -> None:
    x = np.zeros((5, 3, 6, 5), np.float32)
    x[1, 0] = x[:, 2] = 1
    rows = table(audited(x, per_input=2), "Silent channels by input")
    assert [(row["silent"], row["which"]) for row in rows] == [(2, "0 1"), (1, "1")]
    titles = [b.title for b in audited(x, per_input=0).result("sparsity").blocks]
    assert "Silent channels by input" not in titles


def test_of_one_input_it_is_remarked_what_was_silent_and_nothing_is_called_dead() -> None:
    x = np.zeros((1, 3, 6, 5), np.float32)
    x[:, 1], x[:, 2] = 2, np.abs(numbers(6, 5))
    report = audited(x)
    assert {rule: (f.severity, f.channels) for rule, f in findings(report).items()} == {
        "dead": (Severity.INFO, (0,)), "constant": (Severity.INFO, (1,)),
    }  # fmt: skip
    said = "".join(f"{f.message} {f.remedy}" for f in findings(report).values())
    assert said.count("for the only input") == 2
    assert not any(word in said for word in ("dead", "fired", "same"))
    assert [(row["silent"], row["which"]) for row in table(report, "Silent channels by input")] == [(1, "0")]
    assert [row["dead"] for row in table(report, "Sparsity by layer")] == [1]


@pytest.mark.parametrize(
    ("count", "severity"), [(2, Severity.INFO), (EDGE - 1, Severity.INFO), (EDGE, Severity.WARNING)]
)
def test_dead_and_constant_are_worth_a_warning_from_59_inputs_on(count: int, severity: Severity) -> None:
    x = np.zeros((count, 3, 6, 5), np.float32)
    x[:, 1], x[:, 2] = 2, np.abs(numbers(6, 5))
    found = findings(audited(x))
    assert {rule: (f.severity, f.channels) for rule, f in found.items()} == {
        "dead": (severity, (0,)), "constant": (severity, (1,)),
    }  # fmt: skip
    bound = 1 - 0.05 ** (1 / count)
    assert found["dead"].evidence["firing rate below"] == pytest.approx(bound, rel=1e-12)
    assert (bound <= 0.05) == (severity is Severity.WARNING)
    assert (1 - bound) ** count == pytest.approx(0.05)


@pytest.mark.parametrize(("count", "text"), [(1, "1 input"), (2, "2 inputs")])
def test_one_input_is_not_called_inputs(count: int, text: str) -> None:
    report = audited(np.zeros((count, 3, 6, 5), np.float32))
    caption = next(b.caption for b in report.result("sparsity").blocks if isinstance(b, Table))
    assert caption.startswith(f"Over {text}. ")
    assert count == 1 or f"for none of {text} (" in findings(report)["dead"].message


def test_a_sound_layer_has_no_findings() -> None:
    assert findings(audited(numbers(60, 3, 6, 5))) == {}


HEAD = ["tap", "tensor", "after", "channels", "zero fraction"]


@pytest.mark.parametrize(
    ("activation", "absent"),
    [
        ("Relu", {"near-zero"}),
        ("Sigmoid", {"dead", "structurally dead", "rare", "never zero"}),
    ],
)
def test_columns_that_would_be_empty_in_every_row_are_left_out(activation: str, absent: set[str]) -> None:
    (row,) = table(audited(numbers(4, 3, 6, 5), activation), "Sparsity by layer")
    assert list(row)[:5] == HEAD
    assert all(value is not None for name, value in row.items() if name not in HEAD)
    every = {"near-zero", "dead", "structurally dead", "rare", "never zero"}
    assert every - set(row) == absent
    assert "inputs" not in row  # as many as the caption says


def test_columns_that_one_row_needs_stay_for_all() -> None:
    net = model(f"[c] a = Conv {SAME} (x, w) r = Relu(a) [d] e = Conv {SAME} (r, v) y = Sigmoid(e)",
                weights={"w": numbers(4, 3, 3, 3), "v": numbers(2, 4, 3, 3)})  # fmt: skip
    relu, sigmoid = table(service.inspect(net, numbers(2, 3, 6, 5), ["sparsity"]), "Sparsity by layer")
    assert list(relu) == list(sigmoid)
    assert relu["near-zero"] is None
    assert sigmoid["dead"] is None


def test_the_overview_has_one_row_per_tap_from_the_densest_channel_to_the_sparsest() -> None:
    net = model(f"[c] a = Conv {SAME} (x, w) r = Relu(a) [d] e = Conv {SAME} (r, v) y = Relu(e)",
                weights={"w": numbers(4, 3, 3, 3), "v": numbers(2, 4, 3, 3)})  # fmt: skip
    report = service.inspect(net, numbers(2, 3, 6, 5), ["sparsity"])
    (overview,) = (b for b in report.result("sparsity").blocks if isinstance(b, Heatmap))
    channels = table(report, "Sparsity by channel")
    assert overview.row_labels == ("c:act (4)", "d:act (2)")
    assert overview.values[0].tolist() == sorted(r["zero fraction"] for r in channels if r["tap"] == "c:act")
    assert overview.values[1, ::2].tolist() == sorted(r["zero fraction"] for r in channels if r["tap"] == "d:act")
    assert overview.values[1, ::2].tolist() == overview.values[1, 1::2].tolist()
    assert (overview.scale.low, overview.scale.high) == (0, 1)


def test_near_zero_shares_have_a_picture_of_their_own_that_calls_nothing_dead() -> None:
    net = model(f"[c] a = Conv {SAME} (x, w) r = Relu(a) [d] e = Conv {SAME} (r, v) y = Sigmoid(e)",
                weights={"w": numbers(4, 3, 3, 3), "v": numbers(2, 4, 3, 3)})  # fmt: skip
    blocks = service.inspect(net, numbers(2, 3, 6, 5), ["sparsity"]).result("sparsity").blocks
    exact, near = (b for b in blocks if isinstance(b, Heatmap))
    assert (exact.title, exact.row_labels) == ("Zero fraction of every channel", ("c:act (4)",))
    assert (near.title, near.row_labels) == ("Near-zero share of every channel", ("d:act (2)",))
    assert dict(exact.meanings)[1.0] == "exactly 1: zero everywhere, for every input"
    assert dict(near.meanings)[1.0] == "exactly 1: near zero everywhere, for every input"
    assert "|a| < 0.001" in near.scale.unit


def test_the_definitions_are_told_with_the_threshold_in_use() -> None:
    notes = [b for b in audited(numbers(1, 3, 6, 5), near=0.125).result("sparsity").blocks if isinstance(b, Note)]
    assert len(notes) == 1
    assert "|a| < 0.125" in notes[0].text


def test_channels_that_something_else_reads_before_the_activation_are_not_to_be_pruned_unseen() -> None:
    """The maps are all below zero: dead after Relu, and heard through the sum beside it."""
    body = f"[c] a = Conv {SAME} (x, w, b) r = Relu(a) [d] e = Conv {SAME} (r, w2) y = Add(e, a)"
    weights = {"w": np.zeros((4, 3, 3, 3), np.float32), "b": np.full(4, -1, np.float32), "w2": numbers(4, 4, 3, 3)}
    report = service.audit(model(body, weights=weights), numbers(2, 3, 6, 5), [service.AnalysisRequest("sparsity", {})])
    remedies = {f.rule: f.remedy for f in report.result("sparsity").findings if f.layer == "c"}
    assert "sparsity/structurally-dead" in remedies
    assert all("before the activation" in remedy for remedy in remedies.values())
    broken = service.audit(model(body, weights=weights), np.full((2, 3, 6, 5), np.nan, np.float32), ["sparsity"])
    (remedy,) = (f.remedy for f in broken.findings if (f.layer, f.rule) == ("c", "sparsity/not-finite"))
    assert remedy == "Look for an overflow upstream, or for NaN among the weights."


def test_a_channel_that_is_never_finite_has_no_part_in_what_is_said_of_the_layer() -> None:
    x = np.full((4, 3, 2, 2), 5, np.float32)
    x[:, 0], x[:, 1] = np.nan, -1
    found = published(audited(x), "sparsity")["c:act"]
    assert (found["peak"], found["silent_share"]) == (5, 0.5)


def test_of_many_silent_channels_the_first_are_listed() -> None:
    net = model("[c] a = Conv (x, w) y = Relu(a)", weights={"w": np.full((30, 3, 1, 1), -1, np.float32)})
    (row,) = table(service.audit(net, np.ones((1, 3, 6, 5), np.float32), ["sparsity"]), "Silent channels by input")
    assert row["which"] == " ".join(map(str, range(24))) + " … (30)"


def test_a_structurally_dead_channel_is_no_second_finding() -> None:
    """One cannot fire, one did not fire, one fires."""
    weights = {"w": np.ones((3, 3, 3, 3), np.float32), "b": np.array([-1, -99, 1], np.float32)}
    weights["w"][0] = 0
    net = model(f"[c] a = Conv {SAME} (x, w, b) y = Relu(a)", weights=weights)
    report = service.audit(net, np.abs(numbers(2, 3, 6, 5)).clip(0, 1), ["sparsity"])
    assert {rule: f.channels for rule, f in findings(report).items()} == {"dead": (1,), "structurally-dead": (0,)}
