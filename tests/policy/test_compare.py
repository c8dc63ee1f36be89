"""Two reports: which channels died, came back or drifted, and which layers are the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made import ORIGIN, report, tap

from inspector import Metric, Severity, Table
from inspector.errors import InputError
from inspector.policy.changes import LEVEL
from inspector.policy.compare import METRICS, RULES, compare
from inspector.policy.judge import judged
from inspector.policy.load import load_policy
from inspector.policy.matching import matched
from inspector.policy.proportions import p_value
from inspector.report import AnalysisResult, Check, Failure, Report


def metrics(answer: Report, where: str = "") -> dict[str, float]:
    return {m.name: m.values.item() for m in answer.results[0].metrics if m.where == where}


def table(answer: Report, title: str) -> Table:
    (found,) = [b for b in answer.results[0].blocks if isinstance(b, Table) and b.title == title]
    return found


def broken_rules(answer: Report) -> set[str]:
    """Of builtin:unchanged."""
    verdict = judged(answer, (load_policy("builtin:unchanged"),))
    return {f.rule.removeprefix("policy/") for f in verdict.results[-1].findings}


def channels(answer: Report, rule: str) -> dict[str, tuple[int, ...]]:
    return {f.layer: f.channels for f in answer.findings if f.rule == f"compare/{rule}"}


def test_channels_that_died_came_back_and_drifted_are_told_apart() -> None:
    before = report(*tap("conv1", [100, 0, 0, 90, 50]), *tap("conv2", [10]))
    after = report(*tap("conv1", [0, 80, 0, 30, 52]), *tap("conv2", [11]))
    answer = compare(before, after)
    assert channels(answer, "died") == {"conv1": (0,)}
    assert channels(answer, "revived") == {"conv1": (1,)}
    assert channels(answer, "drifted") == {"conv1": (0, 1, 3)}  # by definition, what died and revived did as well
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
    answer = compare(*(report(*tap("c", [n], dead=False)) for n in (100, 0)))
    assert channels(answer, "died") == {}
    assert channels(answer, "drifted") == {"c": (0,)}


def test_a_channel_that_is_not_finite_is_nothing_else() -> None:
    before = report(*tap("c", [100, 0, 100, 50, 100, 0], finite=[100] * 4 + [99, 99]))
    after = report(*tap("c", [0, 0, 99, 50, 100, 100], finite=[0, 0, 99, 100, 100, 100]))
    answer = compare(before, after)
    assert {f.rule: (f.severity, f.channels) for f in answer.findings} == {
        "compare/not-finite": (Severity.ERROR, (0, 1, 2)),
        "compare/finite-again": (Severity.INFO, (4, 5)),
    }
    names = ("not_finite", "finite_again", "died", "revived", "drifted")
    assert {name: metrics(answer, "c:act")[name] for name in names} == dict(zip(names, (3, 2, 0, 0, 0), strict=True))
    assert [(row[1], row[2], row[3], row[4], row[5]) for row in table(answer, "Channels that changed").rows] == [
        (0, "not finite", 1.0, None, None),
        (1, "not finite", 0.0, None, None),
        (2, "not finite", 1.0, 1.0, None),
        (4, "finite again", pytest.approx(100 / 99), 1.0, None),
        (5, "finite again", 0.0, 1.0, None),
    ]
    assert not answer.ok
    assert broken_rules(answer) == {"all-finite"}
    mended = compare(report(*tap("c", [0], finite=[0])), report(*tap("c", [100])))
    assert (broken_rules(mended), mended.ok) == (set(), True)


def test_channels_that_are_not_finite_share_no_chance_of_a_false_alarm() -> None:
    assert (p := p_value(50, 100, 70, 100)) < LEVEL < 10 * p
    a, b = (report(*tap("c", [n, *[50] * 9], finite=[100, *[99] * 9])) for n in (50, 70))
    assert channels(compare(a, b), "drifted") == {"c": (0,)}


def test_a_tap_without_its_number_of_inputs_goes_by_finite_maps() -> None:
    def made(*finite: int) -> Report:
        numbers = tap("c", [9] * len(finite), finite=list(finite))
        return report(*(m for m in numbers if m.name not in {"inputs", "not_finite"}))

    assert channels(compare(made(80, 80), made(80, 79)), "not-finite") == {"c": (1,)}
    assert channels(compare(made(80, 80), made(0, 0)), "not-finite") == {"c": (0, 1)}
    assert compare(made(80, 80), made(80, 80)).findings == ()


@pytest.mark.parametrize("name", ["filters", "distribution"])
def test_what_other_analyses_count_as_not_finite_is_compared(name: str) -> None:
    def made(count: float, *, whole: bool = True) -> Report:
        place = "" if name == "filters" else "act"
        counted = AnalysisResult(name, "1", "{}", metrics=(Metric("not_finite", np.array(count), "c", place),))
        known = AnalysisResult("sparsity", "2", "{}", metrics=tuple(tap("c", [9])))
        return Report(ORIGIN, (counted, known) if whole else (counted,))

    answer = compare(made(1, whole=False), made(3, whole=False))
    (found,) = answer.findings
    assert (found.rule, found.severity, found.layer) == ("compare/not-finite", Severity.ERROR, "c")
    assert "(1 before, 3 after, as" in found.message
    where = "c" if name == "filters" else "c:act"
    assert metrics(answer, where)["not_finite"] == 2
    assert table(answer, "How many are not finite").rows == ((where, name, 1, 3),)
    (found,) = compare(made(3, whole=False), made(1, whole=False)).findings
    assert (found.rule, found.severity) == ("compare/finite-again", Severity.INFO)
    told = {f.rule for f in compare(made(0), made(3)).findings}
    assert told == ({"compare/not-finite"} if name == "filters" else set())  # sparsity knows every channel of its tap
    assert compare(made(0), made(np.nan)).findings == ()


def test_a_resized_layer_that_is_not_finite_any_more_is_told() -> None:
    answer = compare(report(*tap("c", [9] * 4)), report(*tap("c", [0] * 6, finite=[0] * 6)))
    assert {f.rule for f in answer.findings} == {"compare/not-finite", "compare/resized-layer"}
    assert metrics(answer, "c:act")["not_finite"] == 6


@pytest.mark.parametrize(
    ("after", "was", "now"),
    [
        (tap("b", [9, 9], kind="conv", dead=False), "sparsity at act", "sparsity at conv (near zero)"),
        (tap("b", [9, 9], kind="norm"), "sparsity at act", "sparsity at norm"),
        (tap("b", [90, 9], dead=False), "sparsity at act", "sparsity at act (near zero)"),
        (tap("b", [9, 9]) + tap("b", [9, 9], kind="norm"), "sparsity at act", "sparsity at act, norm"),
        ([Metric("bias", np.array(1.0), "b")], "sparsity at act", "sparsity at none"),
    ],
    ids=("no activation", "another tap", "zeros mean nothing", "one more", "none"),
)
def test_a_layer_that_is_not_watched_as_before_is_told(after: list[Metric], was: str, now: str) -> None:
    answer = compare(report(*tap("a", [9]), *tap("b", [9, 9])), report(*tap("a", [9]), *after))
    (found,) = answer.findings
    assert (found.rule, found.severity, found.layer) == ("compare/retapped-layer", Severity.WARNING, "b")
    assert found.evidence == {"before": was, "after": now}
    assert metrics(answer)["retapped_layers"] == 1
    rows = table(answer, "Layers that differ").rows
    assert rows == (("b", "b", f"watched otherwise: {was} before, {now} after"),)
    assert broken_rules(answer) == {"same-layers"}


def test_what_only_one_side_asked_for_is_no_other_tap() -> None:
    made = report(*tap("a", [9]))
    more = AnalysisResult("distribution", "1", "{}", metrics=(Metric("dormant", np.array(1), "a", "norm"),))
    assert compare(made, replace(made, results=(*made.results, more))).findings == ()


@pytest.mark.parametrize(
    ("was", "of", "now", "of_now", "drifts"),
    [
        (1000, 10000, 1500, 10000, True), (1000, 10000, 1499, 10000, False), (2000, 10000, 2500, 10000, True),
        (1500, 10000, 1000, 10000, True), (7, 10, 15000, 20000, False), (7000, 10000, 15000, 20000, True),
        (7000, 10000, 14999, 20000, False), (2**30, 2**31 - 1, 2**30 + 2**27, 2**31 - 1, True),
    ],
)  # fmt: skip
def test_a_change_by_just_the_least_share_is_drift(was: int, of: int, now: int, of_now: int, drifts: bool) -> None:
    answer = compare(report(*tap("c", [was], of)), report(*tap("c", [now], of_now)))
    assert bool(channels(answer, "drifted")) is drifts
    assert metrics(answer, "c:act")["drifted"] == drifts


def with_failure(made: Report, name: str = "distribution", kind: str = "PLUGIN_FAILED") -> Report:
    return replace(made, results=(*made.results, AnalysisResult(name, "1", "{}", failure=Failure(kind, "boom"))))


def test_a_failed_analysis_is_no_secret() -> None:
    made = report(*tap("a", [9]))
    ran = replace(made, results=(*made.results, AnalysisResult("distribution", "1", "{}")))
    for before, after, severity in (
        (ran, with_failure(made), Severity.ERROR),
        (made, with_failure(made), Severity.ERROR),
        (with_failure(made), with_failure(made), Severity.ERROR),
        (with_failure(made), ran, Severity.WARNING),
        (ran, with_failure(made, kind="INAPPLICABLE"), Severity.WARNING),
        (with_failure(made, kind="INAPPLICABLE"), ran, Severity.WARNING),
    ):
        answer = compare(before, after)
        (found,) = answer.findings
        assert (found.rule, found.severity) == ("compare/failed-analysis", severity)
        assert "'distribution'" in found.message
        assert "boom" in found.message
        assert metrics(answer)["failed"] == 1
        assert "analysis 'distribution'" in [row[0] for row in table(answer, "What was compared").rows]
        assert broken_rules(answer) == {"nothing-failed"}


def test_an_analysis_that_means_nothing_for_either_model_did_not_fail() -> None:
    made = report(*tap("a", [9]))
    other = with_failure(made, kind="INAPPLICABLE")
    for pair in ((other, other), (made, other), (other, made)):
        assert compare(*pair).findings == ()


def test_another_version_of_an_analysis_makes_a_comparison_unfair() -> None:
    made = report(*tap("a", [9]))
    later = replace(made, results=(replace(made.results[0], version="2"),))
    answer = compare(made, later)
    (found,) = answer.findings
    assert found.rule == "compare/unfair"
    assert "another version of 'sparsity' (1 before, 2 after)" in found.message
    assert broken_rules(answer) == {"fair"}
    for name in ("policy", "compare"):
        one, two = (AnalysisResult(name, version, "{}") for version in "12")
        assert compare(*(replace(made, results=(*made.results, x)) for x in (one, two))).findings == ()


def test_all_that_a_comparison_says_is_declared() -> None:
    small = (*tap("b", [1]), *tap("c", [1, 1]), *tap("d", [1]), *tap("e", [1]))
    before = report(*tap("a", [100, 0, 90, 50, 9], constant=[0, 0, 0, 0, 1]), *small)
    after = report(
        *tap("a", [0, 90, 10, 50, 9], finite=[100, 100, 100, 99, 100], constant=[0, 1, 0, 0, 0]), *tap("b", [1, 1]),
        *tap("c", [1, 1], kind="norm"), *tap("D", [1]), *tap("f", [1, 2, 3]), origin=replace(ORIGIN, device="cuda:0"),
    )  # fmt: skip
    found = [compare(with_failure(a), b) for a, b in ((before, after), (after, before))]
    assert {f.rule for answer in found for f in answer.findings} == set(RULES)
    said = {m.name for answer in found for m in answer.results[0].metrics if not m.name.startswith("delta_")}
    assert said == {info.name for info in METRICS}
    for answer in found:  # in the terminal and every other output, tables say it too
        shown = {str(c) for b in answer.results[0].blocks if isinstance(b, Table) for row in b.rows for c in row}
        assert any("watched otherwise" in cell for cell in shown)
        assert any("not finite" in cell or "finite again" in cell for cell in shown)
        assert all(f.channels or f.layer or f.evidence for f in answer.findings)


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


def test_a_number_that_one_side_lacks_has_no_difference() -> None:
    more, less = report(*tap("a", [1], extra=2)), report(*tap("a", [1]))
    for pair in ((more, less), (less, more)):
        assert np.isnan(metrics(compare(*pair), "a:act")["delta_sparsity_extra"])


@pytest.mark.parametrize("order", [1, -1])
def test_of_analyses_that_count_differently_what_is_not_finite_the_worst_is_told(order: int) -> None:
    def made(*counts: int) -> Report:
        numbers = [(f"a{n}", (Metric("not_finite", np.array(count), "c", "act"),)) for n, count in enumerate(counts)]
        return Report(ORIGIN, tuple(AnalysisResult(name, "1", "{}", metrics=m) for name, m in numbers[::order]))

    assert metrics(compare(made(0, 0), made(1, 3)), "c:act")["not_finite"] == 3


@pytest.mark.parametrize(
    "other",
    [
        {"data_sha256": "ee"}, {"inputs": 7}, {"preprocess": "raw"}, {"fidelity": "exact"}, {"device": "cuda:0"},
        {"providers": {"CUDAExecutionProvider": 9}}, {"check": Check(1, 3.5, 0.2, equal=False, passed=False)},
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
        ("{}", '{"memory": null}', ("", "memory=null")),
        ("not json", "[1]", ("not json", "[1]")),
        ("[" * 100_000, "{}", ("[" * 100_000, "")),
    ],
    ids=("list", "missing", "null", "no object", "too deep"),
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
    broken = [
        Metric(m.name, m.values + np.nan if m.name == "channel_active" else m.values, "c", "act") for m in tap("c", [9])
    ]
    assert channels(compare(report(*broken), report(*tap("c", [100]))), "drifted") == {}
    ragged = report(*tap("c", [1, 2]), Metric("channel_peak", np.zeros(5), "c", "act"))
    assert channels(compare(ragged, report(*tap("c", [100, 100]))), "drifted") == {}


def test_a_report_without_metrics_is_refused() -> None:
    with pytest.raises(InputError, match="second report"):
        compare(report(*tap("c", [1])), report())
