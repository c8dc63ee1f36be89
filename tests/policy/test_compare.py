"""Two reports: which channels died, came back or drifted, and which layers are the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made import ORIGIN, report, tap

from inspector import Metric, Table
from inspector.errors import InputError
from inspector.policy.changes import LEVEL
from inspector.policy.compare import compare
from inspector.policy.judge import judged
from inspector.policy.load import load_policy
from inspector.policy.matching import matched
from inspector.policy.proportions import p_value
from inspector.report import AnalysisResult, Report


def metrics(answer: Report, where: str = "") -> dict[str, float]:
    return {m.name: m.values.item() for m in answer.results[0].metrics if m.where == where}


def channels(answer: Report, rule: str) -> dict[str, tuple[int, ...]]:
    return {f.layer: f.channels for f in answer.findings if f.rule == f"compare/{rule}"}


def test_channels_that_died_came_back_and_drifted_are_told_apart() -> None:
    before = report(*tap("conv1", [100, 0, 0, 90, 50]), *tap("conv2", [10]))
    after = report(*tap("conv1", [0, 80, 0, 30, 52]), *tap("conv2", [11]))
    answer = compare(before, after)
    assert channels(answer, "died") == {"conv1": (0,)}
    assert channels(answer, "revived") == {"conv1": (1,)}
    assert channels(answer, "drifted") == {"conv1": (3,)}
    assert {k: metrics(answer, "conv1:act")[k] for k in ("died", "revived", "drifted", "delta_sparsity_dead")} == {
        "died": 1, "revived": 1, "drifted": 3, "delta_sparsity_dead": 0,
    }  # fmt: skip
    assert metrics(answer, "conv2:act")["drifted"] == 0
    (table,) = [b for b in answer.results[0].blocks if isinstance(b, Table) and b.title == "Channels that changed"]
    assert [row[1:5] for row in table.rows] == [
        (0, "died, drifted", 1.0, 0.0),
        (1, "revived, drifted", 0.0, 0.8),
        (3, "drifted", 0.9, 0.3),
    ]
    assert table.rows[2][5] == pytest.approx(6 * p_value(90, 100, 30, 100), rel=1e-12)  # six channels were compared


@pytest.mark.parametrize(("inputs", "drifts"), [(10, False), (1000, True)])
def test_the_same_change_is_drift_only_with_enough_inputs(inputs: int, drifts: bool) -> None:
    a, b = (report(*tap("c", [share * inputs // 10], inputs)) for share in (5, 6))
    assert bool(channels(compare(a, b), "drifted")) is drifts


def test_many_channels_share_the_chance_of_a_false_alarm() -> None:
    one = p_value(50, 100, 70, 100)
    assert one < LEVEL < 10 * one
    assert channels(compare(report(*tap("c", [50])), report(*tap("c", [70]))), "drifted") == {"c": (0,)}
    rest = [50] * 9
    assert channels(compare(report(*tap("c", [50, *rest])), report(*tap("c", [70, *rest]))), "drifted") == {}


def test_equal_reports_differ_in_nothing() -> None:
    made = report(*tap("conv1", [100, 0, 3]))
    answer = compare(made, made)
    assert answer.findings == ()
    assert all(m.values == 0 for m in answer.results[0].metrics)


def test_where_zeros_mean_nothing_nobody_dies() -> None:
    answer = compare(report(*tap("c", [100])), report(*tap("c", [0], dead=False)))
    assert channels(answer, "died") == {}
    assert channels(answer, "drifted") == {"c": (0,)}


def test_layers_are_matched_by_name_then_by_position_and_channels() -> None:
    a = report(*(m for name, n in (("a", 2), ("b", 3), ("c", 4), ("e", 1)) for m in tap(name, [1] * n)))
    b = report(*(m for name, n in (("a", 2), ("B", 3), ("d", 5), ("e", 2)) for m in tap(name, [1] * n)))
    found = matched(a, b)
    assert [(x.name, y.name) for x, y in found.pairs] == [("a", "a"), ("b", "B"), ("e", "e")]
    assert (found.renamed, found.removed, found.added) == ((("b", "B"),), ("c",), ("d",))
    answer = compare(a, b)
    counts = metrics(answer)
    assert (counts["renamed_layers"], counts["removed_layers"], counts["added_layers"]) == (1, 1, 1)
    assert {f.rule for f in answer.findings} >= {
        "compare/renamed-layer",
        "compare/removed-layer",
        "compare/added-layer",
    }
    assert "died" not in metrics(answer, "e:act")  # another number of channels: there is no channel to compare


@pytest.mark.parametrize(
    "other",
    [
        {"data_sha256": "ee"}, {"inputs": 7}, {"preprocess": "raw"}, {"fidelity": "exact"}, {"device": "cuda:0"},
        {"providers": {"CUDAExecutionProvider": 9}},
    ],
)  # fmt: skip
def test_what_makes_a_comparison_unfair_is_said_first(other: dict[str, object]) -> None:
    made = report(*tap("conv1", [100, 50]))
    changed = report(*tap("conv1", [0, 50]), origin=replace(ORIGIN, **other))  # type: ignore[arg-type]
    answer = compare(made, changed)
    assert [f.rule for f in answer.findings][:2] == ["compare/unfair", "compare/died"]
    assert metrics(answer)["unfair"] == 1


def with_options(options: str, name: str = "distribution") -> Report:
    made = report(*tap("conv1", [100, 50]))
    return replace(made, results=(*made.results, AnalysisResult(name, "1", options)))


def test_other_options_of_an_analysis_make_a_comparison_unfair() -> None:
    before, after = (with_options(f'{{"tau": {tau}, "kind": "act"}}') for tau in (0.01, 0.9))
    answer = compare(before, after)
    (found,) = answer.findings
    assert found.rule == "compare/unfair"
    assert "other options of 'distribution' (tau=0.01 before, tau=0.9 after)" in found.message
    assert metrics(answer)["unfair"] == 1


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ('{"taps": null}', '{"taps": ["a", "b"]}', ("taps=null", 'taps=["a", "b"]')),
        ("{}", '{"kind": "act"}', ("", "kind=act")),
        ("not json", "[1]", ("not json", "[1]")),
        ("[" * 100_000, "{}", ("[" * 100_000, "")),
    ],
    ids=("list", "missing", "no object", "too deep"),
)
def test_options_are_told_whatever_they_are(was: str, now: str, said: tuple[str, str]) -> None:
    (found,) = compare(with_options(was), with_options(now)).findings
    assert (found.evidence["before"], found.evidence["after"]) == said


@pytest.mark.parametrize(
    "pair",
    [
        (with_options('{"a": 1, "b": 2}'), with_options('{"b":2,"a":1.0}')),
        (with_options(""), with_options("{}")),
        (with_options("{}"), report(*tap("conv1", [100, 50]))),
        (with_options('{"policies": []}', "policy"), with_options('{"policies": [1]}', "policy")),
        (with_options('{"started": "1"}', "compare"), with_options('{"started": "2"}', "compare")),
    ],
)
def test_what_is_no_other_option_is_fair(pair: tuple[Report, Report]) -> None:
    assert compare(*pair).findings == ()


def test_numbers_of_the_whole_model_are_no_layer() -> None:
    layers = [*tap("a", [1, 2]), *tap("b", [3])]
    made, same = report(*layers), report(Metric("total", np.array(2)), *layers)
    assert metrics(compare(made, judged(made, (load_policy("builtin:release"),))))["added_layers"] == 0
    for pair in ((made, same), (same, made)):
        answer = compare(*pair)
        assert answer.findings == ()
        assert judged(answer, (load_policy("builtin:unchanged"),)).ok
    assert matched(same, report(*tap("A", [1, 2]), *tap("b", [3]))).renamed == (("a", "A"),)


def test_numbers_that_both_sides_have_of_the_whole_model_are_compared() -> None:
    before, after = (report(Metric("total", np.array(n)), *tap("a", [1])) for n in (2, 5))
    assert metrics(compare(before, after))["delta_sparsity_total"] == 3


def test_a_layer_of_another_width_is_named_as_nothing_of_it_is_compared() -> None:
    before = report(*tap("a", [9]), *tap("b", [9, 9, 9, 9]))
    answer = compare(before, report(*tap("a", [9]), *tap("b", [0] * 6)))
    (found,) = answer.findings
    assert (found.rule, found.layer, found.evidence) == ("compare/resized-layer", "b", {"before": 4, "after": 6})
    assert "'b'" in found.message
    assert "4 before, 6 after" in found.message
    assert metrics(answer)["resized_layers"] == 1
    (table,) = [b for b in answer.results[0].blocks if isinstance(b, Table) and b.title == "Layers that differ"]
    assert table.rows == (("b", "b", "resized: 4 channels before, 6 after"),)
    verdict = judged(answer, (load_policy("builtin:unchanged"),))
    assert [f.rule for f in verdict.results[-1].findings] == ["policy/same-layers"]


def test_layers_that_other_analyses_looked_at_have_no_other_width() -> None:
    before = report(*tap("a", [9, 9]), Metric("channel_peak", np.zeros(5), "a", "act"))
    assert compare(before, report(*tap("a", [9, 9]))).findings == ()


def test_counts_that_no_run_gives_are_no_drift() -> None:
    odd = report(*tap("c", [200, -1, 2**62], 100))
    assert channels(compare(odd, report(*tap("c", [1, 1, 1]))), "drifted") == {}
    ragged = report(*tap("c", [1, 2]), Metric("channel_peak", np.zeros(5), "c", "act"))
    assert channels(compare(ragged, report(*tap("c", [100, 100]))), "drifted") == {}


def test_a_report_without_metrics_is_refused() -> None:
    with pytest.raises(InputError, match="second report"):
        compare(report(*tap("c", [1])), report())
