"""Policies around a run: which analyses they need, whether their names exist, what they say of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from inspector.analysis.registry import AnalysisRequest, plugins
from inspector.contract import ModelView, TapKind
from inspector.policy import compare, judge
from inspector.policy.compare_view import NAME as COMPARE
from inspector.policy.load import Source, check_ids, load_policies
from inspector.policy.names import (
    Declared,
    check_analyses,
    check_failed,
    check_layers,
    check_names,
    check_patterns,
    finders,
)
from inspector.policy.readings import Known, places_of
from inspector.report import Report

if TYPE_CHECKING:
    from inspector.analysis.plan import Plan  # a report is judged without all that rewrites a graph

__all__ = ["Gate", "Source"]


class Gate:
    """Policies that a report has to pass.

    Raises:
        InspectorError: a policy cannot be read, or names a metric that no analysis declares.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.policies = load_policies(sources)
        check_ids(tuple(rule for policy in self.policies for rule in policy.rules))
        self._places: tuple[_Place, ...] = ()

    def chosen(
        self, analyses: Sequence[str | AnalysisRequest], default: Sequence[str]
    ) -> tuple[str | AnalysisRequest, ...]:
        """The analyses that were asked for; where none were, the default ones and those that the policies need."""
        if analyses:
            return tuple(analyses)
        needed = [name for policy in self.policies for name in policy.analyses if name != COMPARE]
        names = dict.fromkeys((*default, *needed))
        installed = _installed()
        for able in (finders(rule, installed) for policy in self.policies for rule in policy.rules):
            names |= dict.fromkeys(() if set(able) & set(names) else able)
        return tuple(names)

    def check(self, view: ModelView, plan: Plan) -> None:
        """Raises before a run what would make a rule judge nothing.

        That is an unknown metric, analysis or layer, and an analysis that takes no part in the run because it failed.
        """
        if not self.policies:
            return
        declared, analyses = _declared(), [entry.analysis.name for entry in plan.entries]
        able = {entry.analysis.name for entry in plan.entries if entry.failure is None}
        failed = {e.analysis.name: e.failure.message for e in plan.entries if e.failure and not e.failure.inapplicable}
        check_names(self.policies, declared)
        check_analyses(self.policies, analyses)
        check_patterns(self.policies, analyses, declared)
        check_failed(self.policies, able, failed, declared)
        places = [(layer.name, tap.name) for layer in view.layers for tap in layer.taps.values()]
        self._places = (*places, *((layer.name, layer.name) for layer in view.layers))
        check_layers(self.policies, self._places)

    def judged(self, report: Report) -> Report:
        """The report and what the policies say of it."""
        return self._judged(report, _declared()) if self.policies else report

    def judged_as_stored(self, report: Report) -> Report:
        """The same for a report of another time; what it holds counts as declared, whether or not it is installed."""
        plain = replace(report, results=tuple(r for r in report.results if r.name != judge.NAME))
        declared = _declared(plain)
        check_names(self.policies, declared)
        check_analyses(self.policies, [result.name for result in plain.results])
        self._places = _places(plain)
        check_layers(self.policies, self._places)
        return self._judged(report, declared)

    def _judged(self, report: Report, declared: Mapping[str, Declared]) -> Report:
        names = frozenset(name for place in self._places for name in place)
        known = Known(names, {name: one.rules for name, one in declared.items()})
        return judge.judged(report, self.policies, known)


_Place = tuple[str, str]
"""A layer and `layer:tap`, or the layer twice."""


def _places(report: Report) -> tuple[_Place, ...]:
    """Every layer that a report names, and every tap that such a layer may have: it may not have watched them all."""
    layers = dict.fromkeys(layer for result in report.results for layer, _ in places_of(result))
    return tuple((name, where) for name in layers for where in (name, *(f"{name}:{kind}" for kind in TapKind)))


def _installed() -> dict[str, Declared]:
    return {i.name: Declared(i.metrics, i.rules) for i in plugins() if not i.failure}


def _declared(report: Report | None = None) -> dict[str, Declared]:
    """What the installed analyses and a comparison declare, and what the report holds."""
    installed = _installed()
    metrics = compare.metrics_of({name: one.metrics for name, one in installed.items()})
    declared = {**installed, COMPARE: Declared(metrics, compare.RULES)}
    for result in report.results if report else ():
        own = declared.get(result.name, Declared())
        held = tuple(dict.fromkeys(finding.rule for finding in result.findings))
        rules = (*own.rules, *held) if own.rules else ()
        declared[result.name] = Declared((*own.metrics, *compare.infos_of(result)), rules, held)
    return declared
