"""Analyses that failed in one of two reports, or that mean something for one of two models only."""

from __future__ import annotations

from dataclasses import dataclass

from inspector.contract import Severity
from inspector.report import AnalysisResult, Report


@dataclass(frozen=True, slots=True)
class Failed:
    """An analysis, what became of it on either side in words, and how bad that is."""

    analysis: str
    before: str
    after: str
    severity: Severity


def failed_analyses(before: Report, after: Report) -> tuple[Failed, ...]:
    """In the order of the second report; an error where it failed there."""
    old, new = ({result.name: result for result in report.results} for report in (before, after))
    found = ((name, old.get(name), new.get(name)) for name in dict.fromkeys((*new, *old)))
    return tuple(
        Failed(name, _became(was), _became(now), Severity.ERROR if _fails(now) else Severity.WARNING)
        for name, was, now in found
        if _fails(was) or _fails(now) or (was and now and bool(was.failure) != bool(now.failure))
    )


def _fails(result: AnalysisResult | None) -> bool:
    return result is not None and result.failure is not None and not result.failure.inapplicable


def _became(result: AnalysisResult | None) -> str:
    if result is None:
        return "it did not run"
    return f"{result.failure.kind}: {result.failure.message}" if result.failure else "it gave its numbers"
