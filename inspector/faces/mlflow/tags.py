"""What a run is tagged with: the verdict, and what is needed to have the same numbers again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Final

from inspector.contract import Severity
from inspector.faces.wire_tensor import utf8
from inspector.policy import judge
from inspector.report import Report

PREFIX: Final = "inspector."
NONE: Final = "none"
_WORST_FIRST: Final = (Severity.ERROR, Severity.WARNING, Severity.INFO)
_MOST: Final = 20
"""Names that one tag lists."""
_LONGEST: Final = 5000
"""Characters of a tag, which every tracking server takes."""


def tags_of(report: Report, not_finite: Sequence[str]) -> Mapping[str, str]:
    """Tags by name. Every one is always there, `none` where there is nothing, so that none is left of another run.

    `not_finite` are names of metrics that MLflow was not given.
    """
    origin = report.provenance
    severities = {finding.severity for finding in report.findings if not finding.ignored}
    broken = [finding.rule for finding in report.findings if finding.rule.startswith(f"{judge.NAME}/")]
    failed = [result.name for result in report.failed]
    facts = {
        "version": version("onnx-inspector"),
        "ok": str(report.ok).lower(),
        "worst_severity": next((s.value for s in _WORST_FIRST if s in severities), NONE),
        "broken_rules": _listed(broken),
        "failed_analyses": _listed(failed),
        "not_finite": _listed(not_finite),
        "model_sha256": origin.sha256,
        "data": origin.data,
        "data_sha256": origin.data_sha256,
        "inputs": str(origin.inputs),
        "skipped": str(report.skipped_count),
        "batch": str(origin.batch),
        "preprocess": origin.preprocess,
        "fidelity": origin.fidelity,
        "device": origin.device,
        "providers": _listed([f"{name} ({count} nodes)" for name, count in origin.providers.items()]),
        "versions": _listed([f"{name} {text}" for name, text in origin.versions.items()]),
    }
    return {f"{PREFIX}{name}": utf8(text or NONE)[:_LONGEST] for name, text in facts.items()}


def _listed(names: Sequence[str]) -> str:
    once = list(dict.fromkeys(names))
    more = f", … ({len(once)} in all)" if len(once) > _MOST else ""
    return ", ".join(once[:_MOST]) + more
