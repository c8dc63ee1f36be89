"""The answer of every run: provenance, and per analysis its blocks and findings, or its failure.

The same content travels on the wire, in JSON and in viewers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from inspector.contract.blocks import Block, Column, Finding, Severity, Table
from inspector.contract.metrics import Metric
from inspector.errors import Inapplicable
from inspector.origin import Line, facts_of, lines_of, many, options_of, tables_of
from inspector.provenance import Check, Memory, OperatorCount, Provenance
from inspector.render.html import block_html, findings_html, folded, heading, pairs, paragraph
from inspector.render.style import styled

__all__ = ["AnalysisResult", "Check", "Failure", "Memory", "OperatorCount", "Provenance", "Report", "Skipped"]


@dataclass(frozen=True, slots=True)
class Skipped:
    """What was left out, and why.

    `count` is how many inputs that is, as far as it is known. `incomplete`: a file that may hold several, of which
    nobody knows how many are lost; it counts as one.
    """

    id: str
    reason: str
    count: int = 1
    incomplete: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an analysis gave no result. `kind` is an error's stable reason, such as `INAPPLICABLE`."""

    kind: str
    message: str
    remedy: str = ""

    @property
    def inapplicable(self) -> bool:
        """Whether nothing went wrong: the analysis has nothing to say of such a model."""
        return self.kind == Inapplicable.reason


@dataclass(frozen=True, slots=True)
class AnalysisResult:
    """What one analysis said.

    `params` is the JSON of its parameters, defaults filled in. With a `failure` there are no blocks. `metrics` are
    the same numbers for programs: every one is declared by the analysis.
    """

    name: str
    version: str
    params: str
    blocks: tuple[Block, ...] = ()
    findings: tuple[Finding, ...] = ()
    failure: Failure | None = None
    metrics: tuple[Metric, ...] = ()

    def __repr__(self) -> str:
        held = ((self.blocks, "block"), (self.findings, "finding"), (self.metrics, "metric"))
        said = self.failure.message if self.failure else ", ".join(many(len(some), noun) for some, noun in held)
        return f"<AnalysisResult {self.name!r} {self.version}: {said}>"


@dataclass(frozen=True, slots=True)
class Report:
    """What a run found out about a model. A notebook shows it with its pictures; `write_report` writes it to files.

    Attributes:
        provenance: where every number comes from.
        results: what each analysis said, in the order they were asked for; `result(name)` is one of them.
        skipped: the first inputs that were left out, and why.
        skipped_count: how many these are in all.
    """

    provenance: Provenance
    results: tuple[AnalysisResult, ...]
    skipped: tuple[Skipped, ...] = ()
    skipped_count: int = 0

    def __repr__(self) -> str:
        names = ", ".join(result.name for result in self.results)
        return f"<Report on {self.provenance.model!r}: {self.verdict}; {names or 'no results'}>"

    def result(self, name: str) -> AnalysisResult:
        """The first result of the analysis of that name; KeyError where there is none."""
        return next((r for r in self.results if r.name == name), None) or _missing(name, self.results)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, of all analyses."""
        return tuple(f for r in self.results for f in r.findings)

    @property
    def failed(self) -> tuple[AnalysisResult, ...]:
        """The results of analyses that failed; being inapplicable is no failure."""
        return tuple(r for r in self.results if r.failure and not r.failure.inapplicable)

    @property
    def ok(self) -> bool:
        """False when an analysis failed, or a finding is an error."""
        return not self.failed and all(f.severity is not Severity.ERROR for f in self.findings)

    @property
    def verdict(self) -> str:
        """In words: whether it is `ok`, how many findings are errors and warnings, whether the self-check failed."""
        found = Counter(finding.severity for finding in self.findings)
        counts = [many(found[s], s.value) for s in (Severity.ERROR, Severity.WARNING) if found[s]]
        counts += [f"{len(self.failed)} failed analys{'i' if len(self.failed) == 1 else 'e'}s"] * bool(self.failed)
        several = " and ".join(filter(None, [", ".join(counts[:-1]), *counts[-1:]]))
        word = ("Passed" if self.ok else "Failed") + (f" with {several}" if several else "")
        return f"{word}, {'but' if self.ok else 'and'} the self-check failed" if self.provenance.doubtful else word

    @property
    def lines(self) -> tuple[Line, ...]:
        """Label and text of what every face shows first: where the numbers come from, and what is lost."""
        lost = (*([f"{many(self.skipped_count, 'input')}"] if self.skipped_count else ()), *self.provenance.gaps)
        return (*lines_of(self.provenance), *((("Skipped", "; ".join(lost)),) if lost else ()))

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        return styled(head_html(self) + "".join(map(result_html, self.results)) + skipped_html(self) + run_html(self))


def head_html(report: Report) -> str:
    """What a page says of a report first."""
    return heading(f"{report.verdict}: {report.provenance.model}", 1) + pairs(report.lines)


def result_html(result: AnalysisResult, prefix: str = "", written: Callable[[Block, str], str] = block_html) -> str:
    """What one analysis said; with a prefix, as `1-`, its findings and blocks have ids: `finding-1-1`, `block-1-1`.

    `written` gives the HTML of a block with that id.
    """
    names = [f"block-{prefix}{at}" if prefix else "" for at in range(1, len(result.blocks) + 1)]
    blocks = "".join(map(written, result.blocks, names))
    findings = findings_html(result.findings, f"finding-{prefix}" if prefix else "")
    return f"{heading(result.name, 2)}{_made_html(result)}{_failure_html(result.failure)}{findings}{blocks}"


def _made_html(result: AnalysisResult) -> str:
    """Version and parameters, which are to be unfolded."""
    version, options = f"Version {result.version or 'unknown'}", options_of(result.params)
    return folded(f"{version}, {many(len(options), 'parameter')}", pairs(options)) or paragraph(version, muted=True)


def _failure_html(failure: Failure | None) -> str:
    if failure is None:
        return ""
    remedy = failure.remedy if failure.remedy not in failure.message else ""
    return paragraph(f"{failure.kind}: {failure.message}") + paragraph(remedy)


def skipped_html(report: Report) -> str:
    """Which inputs were left out and why, as far as they are listed; nothing where all were used."""
    if not report.skipped_count:
        return ""
    known = sum(item.count for item in report.skipped)
    more = report.skipped_count - known
    caption = f"{many(known, 'input')} of {report.skipped_count:,}; the others are not listed." if more > 0 else ""
    columns = (Column("input"), Column("reason"), Column("inputs", "as far as it is known how many that is"),
               Column("incomplete", "a file of which nobody knows how many inputs are lost"))  # fmt: skip
    rows = tuple((item.id, item.reason, item.count, item.incomplete) for item in report.skipped)
    return heading("Skipped inputs", 2) + block_html(Table("", columns, rows, caption))


def run_html(report: Report) -> str:
    """Where the numbers come from, in full and to be unfolded: nothing that the report's JSON says of it is missing."""
    facts = pairs(facts_of(report.provenance)) + "".join(map(block_html, tables_of(report.provenance)))
    return heading("How it was run", 2) + folded("Model, data, device, time, versions, operators", facts)


def _missing(name: str, results: tuple[AnalysisResult, ...]) -> AnalysisResult:
    raise KeyError(f"{name!r}; this report has: {', '.join(r.name for r in results)}")
