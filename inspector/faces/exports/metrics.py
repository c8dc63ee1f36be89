"""metrics.json: nested numbers, as DVC and trackers read them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from inspector.contract import Severity
from inspector.faces.wire_tensor import utf8
from inspector.report import AnalysisResult, Report


@dataclass(frozen=True, slots=True)
class Number:
    """A metric that is one number: its name, `layer`, `layer:tap` or `model`, and the value, which may be NaN."""

    metric: str
    where: str
    value: float


def numbers_of(report: Report) -> Mapping[str, tuple[Number, ...]]:
    """The single numbers of every result by analysis; a second result of one analysis is called `analysis#2`."""
    found: dict[str, tuple[Number, ...]] = {}
    for result in report.results:
        count = sum(name.partition("#")[0] == utf8(result.name) for name in found)
        found[utf8(result.name) + (f"#{count + 1}" if count else "")] = _singles(result)
    return found


def counts_of(report: Report) -> Mapping[str, int]:
    """How many inputs counted, or were lost; and the verdict: `ok` is 1 where both counts after it are 0."""
    return {
        "inputs": report.provenance.inputs,
        "skipped": report.skipped_count,
        "incomplete": report.provenance.incomplete,
        "missing_shards": report.provenance.missing_shards,
        "ok": int(report.ok),
        "errors": sum(finding.severity is Severity.ERROR for finding in report.findings),
        "failed_analyses": len(report.failed),
    }


def to_metrics(report: Report) -> str:
    """Single numbers as `{analysis: {metric: {layer or layer:tap: number}}}`; those of the whole model under `model`.

    What is per channel is left to the report, and so is what is not finite, as JSON has no such number.
    """
    tree: dict[str, dict[str, dict[str, float]]] = {}
    for analysis, numbers in numbers_of(report).items():
        own = tree.setdefault(analysis, {})
        for number in numbers:
            if math.isfinite(number.value):
                own.setdefault(number.metric, {})[number.where] = number.value
    return json.dumps({"run": counts_of(report), **tree}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _singles(result: AnalysisResult) -> tuple[Number, ...]:
    single = (metric for metric in result.metrics if metric.values.ndim == 0)
    return tuple(Number(utf8(m.name), utf8(m.where) or "model", m.values.item()) for m in single)
