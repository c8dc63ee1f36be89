"""A report judged by policies: what every rule says, and findings where it does not hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from inspector.contract import Array, Cell, Column, Finding, Metric, MetricInfo, Table
from inspector.policy.load import check_ids
from inspector.policy.overrule import overruled, table_of
from inspector.policy.readings import Known, Reading, places_of, readings_of
from inspector.policy.rules import POLICY, Policy, Rule
from inspector.render.numbers import cell
from inspector.report import AnalysisResult, Report

NAME: Final = POLICY
"""What the result of judging is called in a report."""
METRICS: Final = (
    MetricInfo("rules", "rules that were judged", "rules"),
    MetricInfo("broken", "rules that do not hold", "rules"),
    MetricInfo("overruled", "findings that count as something else than their analysis says", "findings"),
    MetricInfo("ignored", "those of them that count for nothing", "findings"),
)
TITLE: Final = "Rules"
NOTHING_KNOWN: Final = Known()
COLUMNS: Final = (
    Column("rule"),
    Column("policy"),
    Column("about", "metric, finding, or part of the provenance"),
    Column("limit"),
    Column("severity", "of the finding where the rule does not hold"),
    Column("judged", "numbers or texts that the rule looked at"),
    Column("broken", "those of them that are beyond the limit"),
    Column("verdict", "holds; broken; nothing to judge, which counts as broken unless the rule says otherwise"),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule says; field by field a row of the table."""

    rule: str
    policy: str
    about: str
    limit: str
    severity: str
    judged: int
    broken: int
    verdict: str


def judged(report: Report, policies: Sequence[Policy], known: Known = NOTHING_KNOWN) -> Report:
    """The report with findings as the policies have them, and one more result, `policy`, in place of an earlier one.

    A pattern over all analyses is judged where one of those in the report declares such a rule, by `known`, or has such
    a finding.

    Raises:
        ParameterError: rules of two policies share an id.
    """
    check_ids(tuple(rule for policy in policies for rule in policy.rules))
    plain = replace(report, results=tuple(r for r in report.results if r.name != NAME))
    known = replace(known, names=known.names | {name for r in plain.results for at in places_of(r) for name in at})
    kept = overruled(plain, policies, known.names)
    verdicts: list[Verdict] = []
    findings: list[Finding] = []
    for policy in policies:
        for rule in policy.rules:
            verdict, found = _judge(rule, policy.name, kept, known)
            verdicts.append(verdict)
            findings += found
    result = AnalysisResult(
        NAME,
        "1",
        json.dumps({"policies": [dict(policy.identity) for policy in policies]}),
        tuple(filter(None, [_rules_table(verdicts), table_of(kept, policies, known.names)])),
        tuple(findings),
        metrics=_metrics(kept, len(verdicts), len({finding.rule for finding in findings})),
    )
    return replace(kept, results=(*kept.results, result))


def _rules_table(verdicts: Sequence[Verdict]) -> Table | None:
    rows = tuple((v.rule, v.policy, v.about, v.limit, v.severity, v.judged, v.broken, v.verdict) for v in verdicts)
    return Table(TITLE, COLUMNS, rows) if rows else None


def _metrics(report: Report, rules: int, broken: int) -> tuple[Metric, ...]:
    changed = [finding for finding in report.findings if finding.overruled]
    counts = (rules, broken, len(changed), sum(finding.ignored for finding in changed))
    return tuple(Metric(info.name, np.array(count)) for info, count in zip(METRICS, counts, strict=True))


def verdicts_of(report: Report) -> tuple[Verdict, ...]:
    """What the rules said, read back from a report that was judged; none where it was not."""
    tables = (b for r in report.results if r.name == NAME for b in r.blocks if isinstance(b, Table))
    rows = [row for table in tables if table.title == TITLE and table.columns == COLUMNS for row in table.rows]
    return tuple(
        Verdict(
            str(row[0]), str(row[1]), str(row[2]), str(row[3]), str(row[4]), _count(row[5]), _count(row[6]), str(row[7])
        )
        for row in rows
    )


def _count(value: Cell) -> int:
    return value if isinstance(value, int) else 0


def _judge(rule: Rule, policy: str, report: Report, known: Known) -> tuple[Verdict, list[Finding]]:
    readings, without = readings_of(rule, report, known)
    bad = [(reading, at) for reading in readings if (at := _beyond(rule, reading)).size]
    findings = [_finding(rule, reading, at) for reading, at in bad]
    lacking = bool(without) and rule.missing == "fail"
    if lacking:
        findings.append(_unjudged(rule, without))
    word = "broken" if bad else "nothing to judge" if lacking or not readings else "holds"
    total, broken = sum(len(reading.values) for reading in readings), sum(at.size for _, at in bad)
    return Verdict(rule.id, policy, rule.subject, rule.limit, rule.severity.value, total, broken, word), findings


_MISSING: Final = (
    "See whether the analysis ran and did not fail, and whether it says something about such layers of this model; "
    'missing = "pass" in the rule lets it pass.'
)
_UNSAID: Final = (
    "The report does not say it: `check` without a self-check, the device where nothing ran. "
    'missing = "pass" in the rule lets it pass.'
)
_SHOWN: Final = 8


def _unjudged(rule: Rule, patterns: Sequence[str]) -> Finding:
    """That there is nothing to judge, and for which patterns of layers."""
    more = f" and {len(patterns) - _SHOWN:,} more" if len(patterns) > _SHOWN else ""
    place = f" at {', '.join(map(repr, patterns[:_SHOWN]))}{more}" if rule.layers != ("*",) else ""
    message = f"{rule.subject}: there is nothing to judge{place}, so nobody knows whether it is {rule.limit}"
    return Finding(f"{NAME}/{rule.id}", rule.severity, message, remedy=_UNSAID if rule.kind == "report" else _MISSING)


def _beyond(rule: Rule, reading: Reading) -> Array:
    """Positions in a reading that do not keep the limit."""
    if isinstance(reading.values, tuple):
        return np.array([i for i, text in enumerate(reading.values) if not rule.allows(text)], np.int64)
    return np.flatnonzero(rule.broken_by(reading.values))


def _finding(rule: Rule, reading: Reading, at: Array) -> Finding:
    found = _worst(rule, reading, at)
    what = f"{rule.subject} is {_told(found, rule)}, not {rule.limit}"
    if reading.channels:
        where = f"in {at.size} of {len(reading.values)} channels"
        what = f"{rule.subject} is not {rule.limit} {where}; the furthest is {_told(found, rule)}"
    said = f"{rule.message.rstrip('.')} ({what})" if rule.message else what
    evidence: dict[str, Cell] = {"found": found, "limit": rule.limit, "about": rule.subject}
    channels = tuple(int(c) for c in at) if reading.channels else ()
    message = f"{reading.where}: {said}" if reading.where else said
    return Finding(f"{NAME}/{rule.id}", rule.severity, message, reading.layer, channels, evidence, rule.remedy)


def _worst(rule: Rule, reading: Reading, at: Array) -> Cell:
    """The value that is furthest beyond the limits; the first text that is not right."""
    if isinstance(reading.values, tuple):
        return reading.values[int(at[0])]
    values = reading.values[at]
    beyond = rule.beyond(values)
    if np.isnan(beyond).all():
        return float("nan")
    worst: Cell = values[int(np.nanargmax(beyond))].item()
    return worst


def _told(found: Cell, rule: Rule) -> str:
    """A value in words; a number with as many digits as show on which side of the limits it is."""
    if found is None or isinstance(found, bool | str):
        return cell(found)
    for text in (cell(found), *(f"{found:.{digits}g}" for digits in range(5, 17))):
        shown = float(text.replace(",", ""))
        if all(_side(shown, limit) == _side(found, limit) for limit in rule.numbers):
            return text
    return repr(found)


def _side(value: float, limit: float) -> int:
    return (value > limit) - (value < limit)
