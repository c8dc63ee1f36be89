"""What a rule looks at in a report, and which of its patterns find nothing there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np

from inspector.contract import Array
from inspector.policy.overrule import place
from inspector.policy.rules import NUMBERS, Rule, analysis_in, covers
from inspector.report import AnalysisResult, Report


@dataclass(frozen=True, slots=True)
class Known:
    """What is known beside a report: `names` of layers and places, and the `rules` that analyses declare."""

    names: frozenset[str] = frozenset()
    rules: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What a rule looks at in one place: numbers (n,), or texts."""

    values: Array | tuple[str, ...]
    layer: str = ""
    where: str = ""
    channels: bool = False


def readings_of(rule: Rule, report: Report, known: Known) -> tuple[list[Reading], tuple[str, ...]]:
    """All that the rule looks at, and those of its patterns of layers that match nothing that it could look at."""
    if rule.metric is not None:
        found = list(_numbers(rule, rule.metric, report, known.names))
        return found, _without(rule.layers, [(r.layer, r.where) for r in found], known.names)
    if rule.finding is not None:
        return _counted(rule, rule.finding, report, known)
    if rule.report in NUMBERS:
        return [Reading(np.array([_number(rule.report, report)]))], ()
    texts = _texts(rule.subject, report)
    return ([Reading(texts)], ()) if texts else ([], rule.layers)


def places_of(result: AnalysisResult) -> Iterator[tuple[str, str]]:
    """Layer and `layer:tap`, or the layer twice, of all that a result says something about."""
    yield from ((m.layer, m.where) for m in result.metrics if m.layer)
    yield from ((f.layer, place(f)) for f in result.findings if f.layer)


def _numbers(rule: Rule, metric: str, report: Report, names: frozenset[str]) -> Iterator[Reading]:
    analysis, _, name = metric.partition(".")
    for result in report.results:
        for m in result.metrics if result.name == analysis else ():
            if m.name == name and m.values.size and rule.covers(m.layer, m.where, names):
                yield Reading(np.atleast_1d(m.values), m.layer, m.where, channels=m.values.ndim == 1)


def _counted(rule: Rule, pattern: str, report: Report, known: Known) -> tuple[list[Reading], tuple[str, ...]]:
    """How many findings there are; nothing where no analysis that could have found one gave a result."""
    able = [result for result in report.results if _could_find(result, pattern, known.rules)]
    fitting = (f for result in able for f in result.findings if not f.ignored and fnmatchcase(f.rule, pattern))
    count = sum(rule.covers(f.layer, place(f), known.names) for f in fitting)
    places = [tuple(places_of(result)) for result in able]
    told = all(places)  # an analysis that names no place may have looked at any; where none is able, there is no place
    missing = _without(rule.layers, [where for some in places for where in some], known.names) if told else ()
    return ([] if missing == rule.layers else [Reading(np.array([count]))]), missing


def _could_find(result: AnalysisResult, pattern: str, rules: Mapping[str, Collection[str]]) -> bool:
    if result.failure is not None:
        return False
    held = (*rules.get(result.name, ()), *(finding.rule for finding in result.findings))
    return result.name == analysis_in(pattern, "/") or any(fnmatchcase(rule, pattern) for rule in held)


def _without(patterns: tuple[str, ...], places: Sequence[tuple[str, str]], names: frozenset[str]) -> tuple[str, ...]:
    """The patterns that match no place."""
    if patterns == ("*",):
        return () if places else patterns
    return tuple(p for p in patterns if not any(covers(p, layer, where, names) for layer, where in places))


def _number(name: str, report: Report) -> float:
    origin = report.provenance
    if name == "skipped_share":
        return report.skipped_count / max(report.skipped_count + origin.inputs, 1)
    return report.skipped_count if name == "skipped" else int(getattr(origin, name))


def _texts(name: str, report: Report) -> tuple[str, ...]:
    if name == "provider":
        return tuple(sorted(report.provenance.providers))
    if name == "check":
        return ("failed" if report.provenance.doubtful else "passed",) if report.provenance.check else ()
    text: str = getattr(report.provenance, name)
    return (text,) if text else ()
