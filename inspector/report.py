"""The answer of every run: provenance, and per analysis its blocks and findings, or its failure.

The same content travels on the wire, in JSON and in viewers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from inspector.contract.blocks import Block, Finding, Severity
from inspector.contract.metrics import Metric
from inspector.errors import Inapplicable
from inspector.render.html import block_html, findings_html, heading, paragraph


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


@dataclass(frozen=True, slots=True)
class Check:
    """What watching did to the model's own outputs, for the first input of a run.

    Attributes:
        outputs: how many of the model's outputs were compared.
        max_abs: the largest difference between a real number with and without watching.
        max_rel: the same, relative to the largest magnitude in its output; the largest over all outputs.
        equal: True where all outputs were equal, bit for bit but for the sign of zero; NaN equals NaN.
        passed: True where this is what the fidelity promises: equal for `exact`, within the tolerance for `fast`.
    """

    outputs: int
    max_abs: float
    max_rel: float
    equal: bool
    passed: bool


@dataclass(frozen=True, slots=True)
class OperatorCount:
    """How many nodes of one kind run, once the runtime has optimised: in the `plain` model and in the `watched` one.

    `domain` is empty for standard operators, and `inspector` for nodes that measure, whatever they became.
    """

    domain: str
    op: str
    plain: int
    watched: int


@dataclass(frozen=True, slots=True)
class Memory:
    """How a run was made to fit: `estimate` and `budget` in bytes, and in how many `waves` the taps were watched."""

    estimate: int
    budget: int
    waves: int


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where every number of a report comes from.

    Attributes:
        model: name of the model.
        sha256: of the model's bytes.
        data: what was fed (a folder, a list of files, …); empty when nothing was.
        data_sha256: identifies the inputs that counted by ids and contents, in order, however they were divided into
            shards.
        inputs: number of inputs that counted.
        batch: batch size that ran; 0 when nothing ran.
        preprocess: how pictures became tensors, as text; empty where arrays were fed.
        fidelity: `fast` (graph optimisations on) or `exact` (off); empty when nothing ran.
        device: `cpu` or `cuda:0`; empty when nothing ran.
        providers: nodes that ran per execution provider.
        versions: software versions by name.
        notes: what a reader must know beside that, such as how a fixed batch was treated.
        started: UTC time, ISO 8601.
        seconds: wall time of the run.
        check: what watching did to the model's own outputs; None where that was not checked.
        operators: what ran after optimisation, with and without watching; empty where that was not checked.
        memory: how the run was made to fit; None when nothing ran.
        waited: seconds in which nothing ran because inputs were not there yet; of several workers what each waited,
            added up and divided by how many were at work at a time, so that it compares with `seconds`.
        incomplete: files that broke off or could not be used at all, so that nobody knows how many inputs are lost.
        missing_shards: shards of the data that a merge knows to be missing.
    """

    model: str
    sha256: str
    data: str = ""
    data_sha256: str = ""
    inputs: int = 0
    batch: int = 0
    preprocess: str = ""
    fidelity: str = ""
    device: str = ""
    providers: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    started: str = ""
    seconds: float = 0.0
    check: Check | None = None
    operators: tuple[OperatorCount, ...] = ()
    memory: Memory | None = None
    waited: float = 0.0
    incomplete: int = 0
    missing_shards: int = 0

    @property
    def gaps(self) -> tuple[str, ...]:
        """What is lost beside the inputs that are counted as skipped, in words."""
        files = "1 file is" if self.incomplete == 1 else f"{self.incomplete:,} files are"
        shards = "1 shard is" if self.missing_shards == 1 else f"{self.missing_shards:,} shards are"
        known = (
            (self.incomplete, f"{files} incomplete: nobody knows how many inputs are lost"),
            (self.missing_shards, f"{shards} missing"),
        )
        return tuple(text for count, text in known if count)


@dataclass(frozen=True, slots=True)
class Report:
    """Provenance, results in the order they were asked for, and the inputs that were skipped.

    `skipped` lists the first of them; `skipped_count` counts all.
    """

    provenance: Provenance
    results: tuple[AnalysisResult, ...]
    skipped: tuple[Skipped, ...] = ()
    skipped_count: int = 0

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

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        origin = self.provenance
        where = " · ".join(
            part
            for part in (
                f"model {origin.model} (sha256 {origin.sha256[:12]})",
                origin.data and f"{origin.inputs} inputs from {origin.data}",
                origin.device and f"{origin.device}, {origin.fidelity}",
                f"{self.skipped_count} skipped" if self.skipped_count else "",
                *origin.gaps,
            )
            if part
        )
        return paragraph(where) + "".join(_result_html(result) for result in self.results)


def _result_html(result: AnalysisResult) -> str:
    if result.failure:
        return heading(result.name) + paragraph(f"{result.failure.kind}: {result.failure.message}")
    return heading(result.name) + findings_html(result.findings) + "".join(block_html(b) for b in result.blocks)


def _missing(name: str, results: tuple[AnalysisResult, ...]) -> AnalysisResult:
    raise KeyError(f"{name!r}; this report has: {', '.join(r.name for r in results)}")
