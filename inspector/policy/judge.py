"""A report judged by policies: what every rule says, and findings where it does not hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final

import numpy as np

from inspector.contract import Array, Cell, Column, Finding, Metric, MetricInfo, Table
from inspector.policy.load import check_ids
from inspector.policy.overrule import overruled, place, table_of
from inspector.policy.rules import NUMBERS, Policy, Rule
from inspector.render.numbers import cell
from inspector.report import AnalysisResult, Report

NAME: Final = "policy"
"""What the result of judging is called in a report."""
METRICS: Final = (
    MetricInfo("rules", "rules that were judged", "rules"),
    MetricInfo("broken", "rules that do not hold", "rules"),
    MetricInfo("overruled", "findings that count as something else than their analysis says", "findings"),
    MetricInfo("ignored", "those of them that count for nothing", "findings"),
)
TITLE: Final = "Rules"
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


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """What a rule looks at in one place: numbers (n,), or texts."""

    values: Array | tuple[str, ...]
    layer: str = ""
    where: str = ""
    channels: bool = False


def judged(report: Report, policies: Sequence[Policy]) -> Report:
    """The report with findings as the policies have them, and one more result, `policy`, in place of an earlier one.

    Raises:
        ParameterError: rules of two policies share an id.
    """
    check_ids(tuple(rule for policy in policies for rule in policy.rules))
    kept = overruled(replace(report, results=tuple(r for r in report.results if r.name != NAME)), policies)
    verdicts: list[Verdict] = []
    findings: list[Finding] = []
    for policy in policies:
        for rule in policy.rules:
            verdict, found = _judge(rule, policy.name, kept)
            verdicts.append(verdict)
            findings += found
    result = AnalysisResult(
        NAME,
        "1",
        json.dumps({"policies": [dict(policy.identity) for policy in policies]}),
        tuple(filter(None, [_rules_table(verdicts), table_of(kept, policies)])),
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


def _judge(rule: Rule, policy: str, report: Report) -> tuple[Verdict, list[Finding]]:
    readings = list(_readings(rule, report))
    bad = [(reading, at) for reading in readings if (at := _beyond(rule, reading)).size]
    total = sum(len(reading.values) for reading in readings)
    findings = [_finding(rule, reading, at) for reading, at in bad]
    word = "broken" if bad else "holds" if readings else "nothing to judge"
    if not readings and rule.missing == "fail":
        message = f"{rule.subject}: there is nothing to judge, so nobody knows whether it is {rule.limit}"
        findings = [Finding(f"{NAME}/{rule.id}", rule.severity, message, remedy=_MISSING)]
    broken = sum(at.size for _, at in bad)
    row = Verdict(rule.id, policy, rule.subject, rule.limit, rule.severity.value, total, broken, word)
    return row, findings


_MISSING: Final = (
    "See whether the analysis failed, and whether the metric means something for this model; "
    'missing = "pass" in the rule lets it pass.'
)


def _readings(rule: Rule, report: Report) -> Iterator[_Reading]:
    if rule.metric is not None:
        analysis, _, name = rule.metric.partition(".")
        for result in report.results:
            for m in result.metrics if result.name == analysis else ():
                if m.name == name and m.values.size and rule.covers(m.layer, m.where):
                    yield _Reading(np.atleast_1d(m.values), m.layer, m.where, channels=m.values.ndim == 1)
    elif rule.finding is not None:
        yield _Reading(np.array([sum(1 for _ in _matching(rule, rule.finding, report))]))
    elif rule.report in NUMBERS:
        yield _Reading(np.array([_number(rule.report, report)]))
    elif texts := _texts(rule.subject, report):
        yield _Reading(texts)


def _matching(rule: Rule, pattern: str, report: Report) -> Iterator[Finding]:
    for finding in report.findings:
        if not finding.ignored and fnmatchcase(finding.rule, pattern) and rule.covers(finding.layer, place(finding)):
            yield finding


def _number(name: str, report: Report) -> float:
    origin = report.provenance
    if name == "skipped_share":
        return report.skipped_count / max(report.skipped_count + origin.inputs, 1)
    return {"inputs": origin.inputs, "skipped": report.skipped_count, "batch": origin.batch}[name]


def _texts(name: str, report: Report) -> tuple[str, ...]:
    if name == "provider":
        return tuple(sorted(report.provenance.providers))
    text: str = getattr(report.provenance, name)
    return (text,) if text else ()


def _beyond(rule: Rule, reading: _Reading) -> Array:
    """Positions in a reading that do not keep the limit."""
    if isinstance(reading.values, tuple):
        return np.array([i for i, text in enumerate(reading.values) if not rule.allows(text)], np.int64)
    return np.flatnonzero(rule.broken_by(reading.values))


def _finding(rule: Rule, reading: _Reading, at: Array) -> Finding:
    found = _worst(rule, reading, at)
    many = f" in {at.size} of {len(reading.values)} channels, such as" if reading.channels else ""
    what = f"{rule.subject} is{many} {cell(found)}, not {rule.limit}"
    said = f"{rule.message.rstrip('.')} ({what})" if rule.message else what
    evidence: dict[str, Cell] = {"found": found, "limit": rule.limit, "about": rule.subject}
    channels = tuple(int(c) for c in at) if reading.channels else ()
    message = f"{reading.where}: {said}" if reading.where else said
    return Finding(f"{NAME}/{rule.id}", rule.severity, message, reading.layer, channels, evidence, rule.remedy)


def _worst(rule: Rule, reading: _Reading, at: Array) -> Cell:
    """The value that is furthest beyond the limits; the first text that is not right."""
    if isinstance(reading.values, tuple):
        return reading.values[int(at[0])]
    values = reading.values[at]
    numbers = values[~np.isnan(values.astype(np.float64))]
    if not numbers.size:
        return float("nan")
    low = numbers.min()
    chosen: Cell = (low if rule.min is not None and low < rule.min else numbers.max()).item()
    return chosen
