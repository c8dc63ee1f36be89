"""The answer of every run: provenance, and per analysis its blocks and findings, or its failure.

The same content travels on the wire, in JSON and in viewers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from inspector.contract.blocks import Block, Finding, Severity
from inspector.contract.metrics import Metric
from inspector.errors import Inapplicable
from inspector.origin import Line, lines_of, many
from inspector.provenance import Check, Memory, OperatorCount, Provenance
from inspector.render.html import block_html, findings_html, heading, pairs, paragraph

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
        return head_html(self) + "".join(result_html(result) for result in self.results)


def head_html(report: Report) -> str:
    """What a page says of a report first."""
    return heading(f"{report.verdict}: {report.provenance.model}", 1) + pairs(report.lines)


def result_html(result: AnalysisResult, prefix: str = "") -> str:
    """What one analysis said; with a prefix, its findings have ids, see `findings_html`."""
    failure = paragraph(f"{result.failure.kind}: {result.failure.message}") if result.failure else ""
    said = failure + findings_html(result.findings, prefix) + "".join(block_html(b) for b in result.blocks)
    return heading(result.name, 2) + said


def _missing(name: str, results: tuple[AnalysisResult, ...]) -> AnalysisResult:
    raise KeyError(f"{name!r}; this report has: {', '.join(r.name for r in results)}")
