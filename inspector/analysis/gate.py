"""Policies around a run: which analyses they need, whether their names exist, what they say of the report."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

from inspector.analysis.registry import AnalysisRequest, plugins
from inspector.contract import ModelView
from inspector.policy import compare, judge
from inspector.policy.compare_view import NAME as COMPARE
from inspector.policy.load import check_ids, load_policy
from inspector.policy.names import Declared, check_analyses, check_layers, check_names
from inspector.policy.rules import Policy
from inspector.report import Report

Source = Policy | str | PathLike[str]
"""A policy, its file, or `builtin:<name>`."""


class Gate:
    """Policies that a report has to pass.

    Raises:
        InspectorError: a policy cannot be read, or names a metric that no analysis declares.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.policies = tuple(s if isinstance(s, Policy) else load_policy(s) for s in sources)
        check_ids(tuple(rule for policy in self.policies for rule in policy.rules))

    def chosen(
        self, analyses: Sequence[str | AnalysisRequest], default: Sequence[str]
    ) -> tuple[str | AnalysisRequest, ...]:
        """The analyses that were asked for; where none were, the default ones and those that the policies need."""
        if analyses:
            return tuple(analyses)
        needed = [name for policy in self.policies for name in policy.analyses if name != COMPARE]
        return tuple(dict.fromkeys((*default, *needed)))

    def check(self, view: ModelView, analyses: Sequence[str]) -> None:
        """Raises before a run what would make a rule judge nothing: an unknown metric, analysis or layer."""
        if self.policies:
            check_names(self.policies, _declared())
            check_analyses(self.policies, analyses)
            places = [(layer.name, tap.name) for layer in view.layers for tap in layer.taps.values()]
            check_layers(self.policies, [*places, *((layer.name, layer.name) for layer in view.layers)])

    def judged(self, report: Report) -> Report:
        """The report and what the policies say of it."""
        return judge.judged(report, self.policies) if self.policies else report

    def judged_as_stored(self, report: Report) -> Report:
        """The same for a report of another time; what it holds counts as declared, whether or not it is installed."""
        check_names(self.policies, _declared(report))
        check_analyses(self.policies, [result.name for result in report.results])
        found = [(m.layer, m.where) for result in report.results for m in result.metrics]
        check_layers(self.policies, [*found, *((f.layer, f.layer) for f in report.findings)])
        return self.judged(report)


def _declared(report: Report | None = None) -> dict[str, Declared]:
    """What the installed analyses and a comparison declare, and what the report holds."""
    installed = {i.name: Declared(i.metrics, i.rules) for i in plugins() if not i.failure}
    metrics = compare.metrics_of({name: one.metrics for name, one in installed.items()})
    declared = {**installed, COMPARE: Declared(metrics, compare.RULES)}
    for result in report.results if report else ():
        own = declared.get(result.name, Declared())
        held = tuple(dict.fromkeys(finding.rule for finding in result.findings))
        rules = (*own.rules, *held) if own.rules else ()
        declared[result.name] = Declared((*own.metrics, *compare.infos_of(result)), rules)
    return declared
