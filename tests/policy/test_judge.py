"""Rules on reports: what holds, what is broken, and what cannot be judged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made import ORIGIN, finding, report, tap

from inspector import Metric, ParameterError, Severity
from inspector.policy.judge import NOTHING_KNOWN, judged, verdicts_of
from inspector.policy.load import load_policy
from inspector.policy.readings import Known
from inspector.policy.rules import Policy, Rule
from inspector.report import Check, Failure, Report


def judge(made: Report, known: Known = NOTHING_KNOWN, **rule: Any) -> tuple[str, Report]:
    """The verdict of one rule, and the report with it."""
    answer = judged(made, [Policy("p", "00", (Rule("r", **rule),))], known)
    (verdict,) = verdicts_of(answer)
    return verdict.verdict, answer


def metric(values: Any, layer: str = "conv1") -> Metric:
    return Metric("x", np.asarray(values), layer)


@pytest.mark.parametrize(
    ("limit", "value", "verdict"),
    [
        ({"max": 3}, 3, "holds"),
        ({"max": 3}, 3.0000001, "broken"),
        ({"min": 3}, 3, "holds"),
        ({"min": 3}, 2, "broken"),
        ({"min": 1, "max": 3}, 2, "holds"),
        ({"min": 1, "max": 3}, 0, "broken"),
        ({"equals": 2}, 2.0, "holds"),
        ({"equals": 2}, 1, "broken"),
        ({"max": 3}, float("nan"), "broken"),
        ({"min": 3}, float("nan"), "broken"),
        ({"max": 3}, float("-inf"), "holds"),
    ],
)
def test_a_number_keeps_its_limits_or_not_and_nan_never_does(limit: Any, value: float, verdict: str) -> None:
    word, answer = judge(report(metric(value)), metric="sparsity.x", **limit)
    assert word == verdict
    assert answer.ok is (verdict == "holds")
    assert answer.result("policy").metrics[1].values == (verdict == "broken")


def test_a_finding_says_which_layer_which_channels_and_the_worst_value() -> None:
    made = report(metric([0.5, 4, 7, 1]), metric([1, 1, 1, 1], "conv2"))
    _, answer = judge(made, metric="sparsity.x", min=1, max=3, message="Out.", remedy="Do.", severity=Severity.WARNING)
    (found,) = answer.findings
    assert (found.rule, found.layer, found.channels, found.severity) == ("policy/r", "conv1", (0, 1, 2), "warning")
    assert (
        found.message == "conv1: Out (sparsity.x is not at least 1 and at most 3 in 3 of 4 channels; the furthest is 7)"
    )
    assert (found.evidence["found"], found.remedy) == (7, "Do.")
    assert answer.ok  # a warning
    (verdict,) = verdicts_of(answer)
    assert (verdict.judged, verdict.broken) == (8, 3)


@pytest.mark.parametrize(
    ("layers", "count"),
    [(("*",), 3), (("conv*",), 2), (("conv1",), 1), (("*:act",), 3), (("a[b]:act",), 1), (("x",), 0)],
)
def test_patterns_choose_layers_and_taps_and_a_name_means_itself(layers: tuple[str, ...], count: int) -> None:
    made = report(*(m for name in ("conv1", "conv2", "a[b]") for m in tap(name, [0])))
    _, answer = judge(made, metric="sparsity.dead", max=0, layers=layers, missing="pass")
    assert len(answer.findings) == count


def test_nothing_to_judge_is_broken_unless_the_rule_lets_it_pass() -> None:
    word, answer = judge(report(), metric="sparsity.x", max=3)
    assert (word, answer.ok) == ("nothing to judge", False)
    assert "nothing to judge" in answer.findings[0].message
    word, answer = judge(report(), metric="sparsity.x", max=3, missing="pass")
    assert (word, answer.ok, answer.findings) == ("nothing to judge", True, ())


def test_findings_are_counted_by_rule_and_place() -> None:
    made = report(findings=(finding("a/b", "conv1", tap="act"), finding("a/b", "conv2", tap="act"), finding("c/b")))
    assert judge(made, finding="a/b", max=2)[0] == "holds"
    assert judge(made, finding="a/b", max=1)[0] == "broken"
    assert judge(made, finding="*/b", max=2)[0] == "broken"
    assert judge(made, finding="a/b", max=1, layers=("conv1:act",))[0] == "holds"
    assert judge(made, finding="sparsity/b", max=0)[0] == "holds"
    assert judge(made, finding="d/b", max=0)[0] == "nothing to judge"  # no such analysis ran


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        ({"report": "inputs", "min": 100}, "holds"),
        ({"report": "inputs", "min": 101}, "broken"),
        ({"report": "skipped", "max": 24}, "broken"),
        ({"report": "skipped_share", "max": 0.2}, "holds"),  # 25 of 125
        ({"report": "skipped_share", "max": 0.19}, "broken"),
        ({"report": "incomplete", "max": 2}, "broken"),
        ({"report": "incomplete", "max": 3}, "holds"),
        ({"report": "missing_shards", "max": 0}, "broken"),
        ({"report": "batch", "equals": 16}, "holds"),
        ({"report": "fidelity", "equals": "exact"}, "broken"),
        ({"report": "fidelity", "one_of": ("fast", "exact")}, "holds"),
        ({"report": "provider", "equals": "CPUExecutionProvider"}, "holds"),
        ({"report": "provider", "one_of": ("CUDAExecutionProvider",)}, "broken"),
        ({"report": "sha256", "equals": ORIGIN.sha256}, "holds"),
        ({"report": "check", "equals": "passed"}, "broken"),
        ({"report": "check", "equals": "failed"}, "holds"),
    ],
)
def test_provenance_is_judged(rule: dict[str, Any], verdict: str) -> None:
    apart = Check(1, 3.5, 0.2, equal=False, passed=False)
    origin = replace(ORIGIN, incomplete=3, missing_shards=1, check=apart)
    assert judge(report(skipped=25, origin=origin), **rule)[0] == verdict


def test_a_report_without_inputs_has_skipped_no_share_of_them() -> None:
    assert judge(report(origin=replace(ORIGIN, inputs=0)), report="skipped_share", max=0)[0] == "holds"


def test_a_metric_of_no_channel_is_nothing_to_judge() -> None:
    assert judge(report(metric([])), metric="sparsity.x", max=3)[0] == "nothing to judge"


def test_without_a_self_check_there_is_nothing_to_judge_of_it() -> None:
    assert judge(report(), report="check", equals="passed")[0] == "nothing to judge"
    near = replace(ORIGIN, check=Check(1, 1e-6, 1e-7, equal=False, passed=True))
    assert judge(report(origin=near), report="check", equals="passed")[0] == "holds"


def test_judging_again_takes_the_place_of_the_first_time() -> None:
    _, first = judge(report(metric(1)), metric="sparsity.x", max=0)
    word, second = judge(first, metric="sparsity.x", max=1)
    assert (word, [r.name for r in second.results], second.ok) == ("holds", ["sparsity", "policy"], True)


def test_two_policies_with_one_id_are_refused() -> None:
    policy = Policy("p", "00", (Rule("r", report="inputs", min=1),))
    with pytest.raises(ParameterError, match="two rules have this id"):
        judged(report(), [policy, policy])


DECLARED = Known(rules={"sparsity": ("sparsity/dead", "sparsity/nan"), "filters": ("filters/copy", "filters/dead")})


@pytest.mark.parametrize(
    ("pattern", "verdict"),
    [("*/copy", "nothing to judge"), ("*/dead", "holds"), ("f*/dead", "nothing to judge"), ("[s]*/*", "holds")],
)
def test_a_pattern_over_all_analyses_is_judged_where_one_that_declares_such_a_rule_ran(
    pattern: str, verdict: str
) -> None:
    word, answer = judge(report(), DECLARED, finding=pattern, max=0)
    assert (word, answer.ok) == (verdict, verdict == "holds")
    word, answer = judge(report(), DECLARED, finding=pattern, max=0, missing="pass")
    assert (word, answer.ok, answer.findings) == (verdict, True, ())


@pytest.mark.parametrize("kind", ["INAPPLICABLE", "PLUGIN_FAILED"])
@pytest.mark.parametrize("rule", [{"finding": "sparsity/dead"}, {"finding": "*/dead"}, {"metric": "sparsity.dead"}])
def test_an_analysis_without_a_result_is_nothing_to_judge_for_rules_of_any_kind(
    kind: str, rule: dict[str, Any]
) -> None:
    made = report()
    failed = replace(made, results=(replace(made.results[0], failure=Failure(kind, "No.")),))
    word, answer = judge(failed, DECLARED, **rule, max=0)
    assert (word, answer.ok, len(answer.findings)) == ("nothing to judge", False, 1)
    assert judge(failed, DECLARED, **rule, max=0, missing="pass")[1].findings == ()


def test_every_pattern_of_layers_has_to_find_something_to_judge() -> None:
    made = report(*tap("conv1", [3, 3]), *tap("conv2", [3], dead=False))
    asked: dict[str, Any] = {"metric": "sparsity.dead", "layers": ("conv1:act", "conv2:*"), "max": 0}
    word, answer = judge(made, **asked)
    assert (word, answer.ok) == ("nothing to judge", False)
    (found,) = answer.findings
    assert found.message == (
        "sparsity.dead: there is nothing to judge at 'conv2:*', so nobody knows whether it is at most 0"
    )
    assert judge(made, **asked, missing="pass")[0] == "holds"
    word, answer = judge(report(*tap("conv1", [0]), *tap("conv2", [3], dead=False)), **asked)
    assert (word, len(answer.findings)) == ("broken", 2)


@pytest.mark.parametrize(
    ("count", "told"),
    [(8, "'c7', so nobody"), (9, "'c7' and 1 more, so nobody"), (1000, "'c7' and 992 more, so nobody")],
)
def test_many_patterns_without_anything_to_judge_are_told_in_short(count: int, told: str) -> None:
    layers = tuple(f"c{n}" for n in range(count))
    (found,) = judge(report(*tap("conv1", [3])), metric="sparsity.dead", max=0, layers=layers)[1].findings
    assert told in found.message


def test_findings_are_looked_for_where_their_analysis_has_numbers() -> None:
    made = report(*tap("conv1", [3]))
    assert judge(made, finding="sparsity/dead", max=0, layers=("conv1:act",))[0] == "holds"
    assert judge(made, finding="sparsity/dead", max=0, layers=("conv1:conv",))[0] == "nothing to judge"
    assert judge(made, finding="sparsity/dead", max=0, layers=("conv*", "conv3"))[0] == "nothing to judge"
    nowhere = report(findings=(finding("sparsity/dead"),))  # names no layer, so it may have looked at any
    assert judge(nowhere, finding="sparsity/dead", max=0, layers=("conv3",))[0] == "holds"


def test_a_finding_without_a_tap_is_about_its_layer_and_no_tap_of_it() -> None:
    made = report(Metric("x", np.asarray(1), "conv1"), findings=(finding("sparsity/dead", "conv1"),))
    assert judge(made, finding="sparsity/dead", max=0, layers=("conv1",))[0] == "broken"
    assert judge(made, finding="sparsity/dead", max=0, layers=("conv1:act",))[0] == "nothing to judge"


@pytest.mark.parametrize(
    ("limit", "value", "told"),
    [
        ({"max": 0.3}, 0.30003, "is 0.30003, not at most 0.3"),
        ({"max": 0.3}, 0.30000000000000004, "is 0.30000000000000004, not at most 0.3"),
        ({"min": 0.3}, 0.2999999, "is 0.2999999, not at least 0.3"),
        ({"min": 0.3}, 0.29999991234, "is 0.2999999, not at least 0.3"),
        ({"max": 0.30004}, 0.300045, "is 0.30005, not at most 0.30004"),
        ({"max": 0.300042}, 0.30005, "is 0.30005, not at most 0.300042"),
        ({"equals": 1000}, 1000.0625, "is 1000.1, not exactly 1000"),
        ({"max": 1e6}, 1000001, "is 1,000,001, not at most 1e6"),
        ({"max": 0.3}, 0.123456e9, "is 1.235e8, not at most 0.3"),
        ({"max": 0.3}, float("inf"), "is Inf, not at most 0.3"),
        ({"max": 0.3}, float("nan"), "is NaN, not at most 0.3"),
    ],
)
def test_a_value_is_told_with_as_many_digits_as_show_that_it_is_beyond(limit: Any, value: Any, told: str) -> None:
    (found,) = judge(report(metric(value)), metric="sparsity.x", **limit)[1].findings
    assert found.message.endswith(told)
    assert str(found.evidence["found"]) == str(value)


@pytest.mark.parametrize(
    ("values", "limit", "worst"),
    [
        ([0.5, 9], {"min": 1, "max": 2}, 9),
        ([-9, 2.5], {"min": 1, "max": 2}, -9),
        ([1, 9, 4], {"equals": 5}, 1),
        ([3, 12], {"equals": 5}, 12),
        ([float("nan"), 4], {"max": 3}, 4),
        ([float("-inf"), 4], {"min": 1, "max": 3}, float("-inf")),
    ],
)
def test_the_worst_value_is_the_one_furthest_beyond(values: Any, limit: Any, worst: float) -> None:
    (found,) = judge(report(metric(values)), metric="sparsity.x", **limit)[1].findings
    assert found.evidence["found"] == worst


def test_a_name_with_brackets_is_that_layer_and_no_other() -> None:
    made = report(*(m for name in ("conv1", "conv[1]") for m in tap(name, [0])))
    for layers in (("conv[1]",), ("conv[1]:act",)):
        (found,) = judge(made, metric="sparsity.dead", max=0, layers=layers)[1].findings
        assert found.layer == "conv[1]"
    elsewhere = Known(names=frozenset({"conv[1]"}))  # the model has it, and nothing is said about it
    only = report(*tap("conv1", [0]))
    assert judge(only, elsewhere, metric="sparsity.dead", max=0, layers=("conv[1]",))[0] == "nothing to judge"
    assert judge(only, metric="sparsity.dead", max=0, layers=("conv[1]",))[0] == "broken"  # a pattern


def test_the_policy_on_releases_says_of_filters_that_never_fired_what_is_known_of_them() -> None:
    taps = tap("c", [0, 30, 60, 60], 60, dead_share=0.25)
    found = judged(report(*taps), [load_policy("builtin:release")])
    (said,) = [f for f in found.findings if f.rule == "policy/dead-filters"]
    assert "for none of these inputs" in said.message
    assert said.remedy.startswith("Audit with more inputs, and more varied ones")
