"""What findings count as where a policy says otherwise than their analysis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from made import finding, report

from inspector import Finding, InspectorError, Metric, MetricInfo, Severity
from inspector.contract import Overruled
from inspector.policy.judge import judged, verdicts_of
from inspector.policy.names import Declared, check_layers, check_names
from inspector.policy.overrule import TITLE
from inspector.policy.rules import Override, Policy, Rule
from inspector.report import Report

INFO, WARNING, ERROR = Severity
DEAD = (finding("s/dead", "c1", tap="act"), finding("s/dead", "c2", tap="act"), finding("s/nan", "c1", ERROR))


def override(severity: Any, rule: str = "s/dead", *layers: str) -> Override:
    return Override(rule, severity, f"Because of {severity}", layers or ("*",))


def policy(*overrides: Override, name: str = "p", rules: tuple[Rule, ...] = ()) -> Policy:
    return Policy(name, "00", rules, overrides=overrides)


def severities(made: Report) -> list[tuple[Severity, bool]]:
    """What the findings of analyses count as, and whether they are ignored."""
    return [(f.severity, f.ignored) for r in made.results if r.name != "policy" for f in r.findings]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], [(WARNING, False), (WARNING, False), (ERROR, False)]),
        ([override(ERROR)], [(ERROR, False), (ERROR, False), (ERROR, False)]),
        ([override(INFO, "s/*")], [(INFO, False)] * 3),
        ([override("ignore", "*")], [(INFO, True)] * 3),
        ([override("ignore", "s/dead", "c1")], [(INFO, True), (WARNING, False), (ERROR, False)]),
        ([override("ignore", "s/dead", "*:act")], [(INFO, True), (INFO, True), (ERROR, False)]),
        ([override("ignore", "*", "c*:conv")], [(WARNING, False), (WARNING, False), (ERROR, False)]),
        ([override("ignore"), override(ERROR, "s/dead", "c2")], [(INFO, True), (ERROR, False), (ERROR, False)]),
        ([override(ERROR, "s/dead", "c2"), override("ignore")], [(INFO, True), (INFO, True), (ERROR, False)]),
    ],
)
def test_the_last_entry_that_is_about_a_finding_says_what_it_counts_as(
    overrides: list[Override], expected: list[tuple[Severity, bool]]
) -> None:
    answer = judged(report(findings=DEAD), [policy(*overrides)])
    assert severities(answer) == expected
    assert answer.ok is all(severity is not ERROR for severity, _ in expected)


def test_what_the_analysis_said_stays_beside_who_overruled_it_and_why() -> None:
    answer = judged(report(findings=DEAD), [policy(override(ERROR)), policy(override("ignore", "s/nan"), name="q")])
    first, _, third = answer.result("sparsity").findings
    assert first.overruled == Overruled(WARNING, "p", "Because of error")
    assert third.overruled == Overruled(ERROR, "q", "Because of ignore", ignored=True)
    assert (first.standing, third.standing) == ("error (was warning)", "ignored (was error)")
    assert (first.because, DEAD[0].because) == ("policy p: Because of error", "")
    assert (first.message, first.evidence) == (DEAD[0].message, DEAD[0].evidence)


def test_the_report_counts_what_was_overruled_and_lists_entries_that_are_about_nothing() -> None:
    answer = judged(report(findings=DEAD), [policy(override("ignore"), override(INFO, "s/nan"), override(INFO, "s/x"))])
    result = answer.result("policy")
    (table,) = [block for block in result.blocks if getattr(block, "title", "") == TITLE]
    assert [(row[0], row[-1]) for row in table.rows] == [("s/dead", 2), ("s/nan", 1), ("s/x", 0)]  # type: ignore[union-attr]
    assert {m.name: int(m.values) for m in result.metrics} == {"rules": 0, "broken": 0, "overruled": 3, "ignored": 2}
    assert verdicts_of(answer) == ()


def test_an_entry_that_a_later_one_takes_over_decides_nothing() -> None:
    answer = judged(report(findings=DEAD), [policy(override(INFO), override(ERROR))])
    (table,) = answer.result("policy").blocks
    assert [row[-1] for row in table.rows] == [0, 2]  # type: ignore[union-attr]


def test_judging_again_begins_with_what_the_analyses_said() -> None:
    made = report(findings=DEAD)
    ignored = judged(made, [policy(override("ignore", "*"))])
    assert severities(judged(ignored, [policy(override(INFO))])) == [(INFO, False), (INFO, False), (ERROR, False)]
    plain = judged(ignored, [policy(rules=(Rule("r", report="inputs", min=1),))])
    assert plain.results[:-1] == made.results


def test_a_rule_does_not_count_findings_that_are_ignored() -> None:
    rules = (Rule("none", finding="s/dead", max=0),)
    for overrides, verdict in (
        ([], "broken"),
        ([override("ignore", "s/dead", "c1")], "broken"),
        ([override("ignore")], "holds"),
    ):
        answer = judged(report(findings=DEAD), [policy(*overrides, rules=rules)])
        assert [v.verdict for v in verdicts_of(answer)] == [verdict]


def test_the_findings_of_rules_are_not_overruled() -> None:
    rules = (Rule("many", metric="sparsity.x", max=0),)
    answer = judged(report(Metric("x", np.array(1), "c1")), [policy(override("ignore", "*"), rules=rules)])
    assert [(f.rule, f.severity) for f in answer.findings] == [("policy/many", ERROR)]


def test_an_entry_for_a_name_with_brackets_is_about_that_layer_alone() -> None:
    made = report(findings=(finding("s/dead", "c[1]", tap="act"), finding("s/dead", "c1", tap="act")))
    answer = judged(made, [policy(override("ignore", "s/dead", "c[1]"))])
    assert severities(answer) == [(INFO, True), (WARNING, False)]
    (table,) = answer.result("policy").blocks
    assert [row[-1] for row in table.rows] == [1]  # type: ignore[union-attr]


@pytest.mark.parametrize("rule", ["silent/laek", "silent/lea", "silent/leaks"])
def test_what_looks_like_a_misspelt_finding_of_the_report_is_refused(rule: str) -> None:
    declared = {"silent": Declared(held=("silent/leak", "silent/over-scale"))}
    with pytest.raises(InspectorError, match=r"Did you mean 'silent/leak'\?"):
        check_names([policy(rules=(Rule("r", finding=rule, max=0),))], declared)
    for other in ("silent/leak", "silent/l*", "silent/under-scale", "silent/burst", f"silent/{'x' * 400}"):
        check_names([policy(override(INFO, other))], declared)


DECLARED = {"s": Declared((MetricInfo("x", ""),), ("s/dead", "s/nan")), "silent": Declared()}


@pytest.mark.parametrize("rule", ["s/dead", "s/*", "*/nan", "*", "silent/anything"])
def test_a_rule_that_an_analysis_declares_or_may_have_is_known(rule: str) -> None:
    check_names([policy(override(INFO, rule))], DECLARED)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (
            "s/ded",
            "rule 's/ded' of finding 1 of policy 'p': there is none of that name; expected one of: s/dead, s/nan",
        ),
        ("sx/dead", "analysis 'sx' of finding 1 of policy 'p'"),
        ("*/daed", "Did you mean 's/dead'"),
        ("policy/many", "analysis 'policy' of finding 1 of policy 'p'"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_the_nearest_one(rule: str, says: str) -> None:
    with pytest.raises(InspectorError) as error:
        check_names([policy(override(INFO, rule))], DECLARED)
    assert says in str(error.value)


def test_a_layer_that_is_not_there_is_refused_with_the_nearest_one() -> None:
    places = [("conv1", "conv1:act")]
    check_layers([policy(override(INFO, "s/dead", "conv*", "conv1:act"))], places)
    with pytest.raises(InspectorError, match=r"layer '.*' of finding 2 of policy 'p'.*Did you mean 'conv1'"):
        check_layers([policy(override(INFO), override(INFO, "s/dead", "cnov1"))], places)


def test_a_finding_that_nobody_overruled_stands_as_it_is() -> None:
    plain = Finding("a/b", INFO, "So.")
    assert (plain.standing, plain.ignored, plain.because) == ("info", False, "")
