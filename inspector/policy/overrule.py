"""What findings of analyses count as, where a policy says otherwise than the analysis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from inspector.contract import Column, Finding, Overruled, Severity, Table
from inspector.policy.rules import Names, Override, Policy
from inspector.report import AnalysisResult, Report

TITLE: Final = "Findings overruled"
COLUMNS: Final = (
    Column("finding", "rule of the findings, or a pattern of such"),
    Column("policy"),
    Column("layers"),
    Column("counts as", "error, warning, info; ignore: nothing"),
    Column("reason"),
    Column("findings", "how many it decided about"),
)


def overruled(report: Report, policies: Sequence[Policy], names: Names = frozenset()) -> Report:
    """The report with its findings as the policies have them; what earlier ones said of them is forgotten.

    Where several are about one finding, the last one holds, in the order of policies and of the file. `names`: of all
    layers and places, each of which means itself.
    """
    named = [(policy.name, override) for policy in policies for override in policy.overrides]
    return replace(report, results=tuple(_result(result, named, names) for result in report.results))


def table_of(report: Report, policies: Sequence[Policy], names: Names = frozenset()) -> Table | None:
    """What was decided about how many findings of a report that went through `overruled`; None: there was nothing to.

    An override that is about nothing is in it, with 0.
    """
    named = [(policy.name, override) for policy in policies for override in policy.overrides]
    deciding = [_deciding(finding, named, names) for finding in report.findings]
    rows = tuple(
        (o.rule, name, ", ".join(o.layers), str(o.severity), o.reason, sum(d == at for d in deciding))
        for at, (name, o) in enumerate(named)
    )
    return Table(TITLE, COLUMNS, rows) if rows else None


def place(finding: Finding) -> str:
    """`layer:tap`, or the layer, that a finding is about."""
    tap = finding.evidence.get("tap", "")
    return f"{finding.layer}:{tap}" if tap else finding.layer


_Named = Sequence[tuple[str, Override]]
"""Overrides and the names of their policies, in order."""


def _result(result: AnalysisResult, named: _Named, names: Names) -> AnalysisResult:
    return replace(result, findings=tuple(_decided(_as_found(finding), named, names) for finding in result.findings))


def _as_found(finding: Finding) -> Finding:
    """The finding as its analysis gave it."""
    return (
        finding if finding.overruled is None else replace(finding, severity=finding.overruled.severity, overruled=None)
    )


def _deciding(finding: Finding, named: _Named, names: Names) -> int:
    """Position of the override that holds for a finding; -1 where there is none."""
    where = place(finding)
    about = (at for at, (_, one) in enumerate(named) if one.covers(finding.rule, finding.layer, where, names))
    return max(about, default=-1)


def _decided(finding: Finding, named: _Named, names: Names) -> Finding:
    at = _deciding(finding, named, names)
    if at < 0:
        return finding
    policy, override = named[at]
    ignored = override.severity == "ignore"
    severity = Severity.INFO if ignored else Severity(override.severity)
    return replace(
        finding, severity=severity, overruled=Overruled(finding.severity, policy, override.reason, ignored=ignored)
    )
