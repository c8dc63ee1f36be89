"""Rules on reports: what holds, what is broken, and what cannot be judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from made import ORIGIN, finding, report, tap

from inspector import Metric, ParameterError, Severity
from inspector.policy.judge import judged, verdicts_of
from inspector.policy.rules import Policy, Rule
from inspector.report import Report


def judge(made: Report, **rule: Any) -> tuple[str, Report]:
    """The verdict of one rule, and the report with it."""
    answer = judged(made, [Policy("p", "00", (Rule("r", **rule),))])
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
    assert found.message == "conv1: Out (sparsity.x is in 3 of 4 channels, such as 0.5, not at least 1 and at most 3)"
    assert (found.evidence["found"], found.remedy) == (0.5, "Do.")
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
    assert judge(made, finding="d/b", max=0)[0] == "holds"


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        ({"report": "inputs", "min": 100}, "holds"),
        ({"report": "inputs", "min": 101}, "broken"),
        ({"report": "skipped", "max": 24}, "broken"),
        ({"report": "skipped_share", "max": 0.2}, "holds"),  # 25 of 125
        ({"report": "skipped_share", "max": 0.19}, "broken"),
        ({"report": "fidelity", "equals": "exact"}, "broken"),
        ({"report": "fidelity", "one_of": ("fast", "exact")}, "holds"),
        ({"report": "provider", "equals": "CPUExecutionProvider"}, "holds"),
        ({"report": "provider", "one_of": ("CUDAExecutionProvider",)}, "broken"),
        ({"report": "sha256", "equals": ORIGIN.sha256}, "holds"),
    ],
)
def test_provenance_is_judged(rule: dict[str, Any], verdict: str) -> None:
    assert judge(report(skipped=25), **rule)[0] == verdict


def test_judging_again_takes_the_place_of_the_first_time() -> None:
    _, first = judge(report(metric(1)), metric="sparsity.x", max=0)
    word, second = judge(first, metric="sparsity.x", max=1)
    assert (word, [r.name for r in second.results], second.ok) == ("holds", ["sparsity", "policy"], True)


def test_two_policies_with_one_id_are_refused() -> None:
    policy = Policy("p", "00", (Rule("r", report="inputs", min=1),))
    with pytest.raises(ParameterError, match="two rules have this id"):
        judged(report(), [policy, policy])
