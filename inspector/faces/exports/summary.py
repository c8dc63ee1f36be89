"""A report on one screen, in GitHub Markdown: for the summary of a job, or a comment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from inspector.contract import Finding, Severity
from inspector.faces.exports.plain_text import in_markdown
from inspector.policy import judge
from inspector.report import Report

MOST: Final = 100
"""Lines of provenance, rules, and findings that are listed: a job's summary is limited to 1 MiB."""
_LONGEST: Final = 300
_ORDER: Final = (Severity.ERROR, Severity.WARNING, Severity.INFO)
_SEVERITIES: Final = tuple(severity.value for severity in _ORDER)


def to_summary(report: Report) -> str:
    """Verdict, provenance, rules and findings, worst first; what holds or is ignored comes last; at most `MOST`."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"## {report.verdict}: {_text(report.provenance.model)}"
    yield ""
    for label, text in report.lines[:MOST]:
        yield f"- {label}: {_text(text)}"
    for result in report.results:
        if result.failure:
            yield ""
            yield f"**{_text(result.name)}**: {_text(result.failure.message)}"
    broken = {finding.rule for finding in report.findings}
    verdicts = sorted(judge.verdicts_of(report), key=lambda v: (_finding_of(v) not in broken, _rank(v.severity)))
    rows = [(v.rule, v.about, v.limit, f"{v.broken} of {v.judged}", v.verdict) for v in verdicts]
    yield from _table(("rule", "about", "limit", "broken", "verdict"), rows)
    found = sorted(report.findings, key=lambda f: (f.ignored, _ORDER.index(f.severity)))
    yield from _table(("severity", "rule", "layer", "finding"), [_row(f) for f in found])


def _finding_of(verdict: judge.Verdict) -> str:
    return f"{judge.NAME}/{verdict.rule}"


def _rank(severity: str) -> int:
    return _SEVERITIES.index(severity) if severity in _SEVERITIES else 0  # a stored report may say anything


def _row(finding: Finding) -> tuple[str, ...]:
    said = f"{finding.message} ({finding.because})" if finding.overruled else finding.message
    return (finding.standing, finding.rule, finding.layer, said)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    yield ""
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows[:MOST]:
        yield f"| {' | '.join(map(_text, row))} |"
    if len(rows) > MOST:
        yield ""
        yield f"{len(rows) - MOST} more are in the report."


def _text(text: str) -> str:
    return in_markdown(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")
