"""Reports made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from inspector import Finding, Metric, Severity
from inspector.report import AnalysisResult, Provenance, Report

ORIGIN = Provenance(
    "m",
    "ab" * 32,
    "pictures",
    "cd" * 32,
    100,
    16,
    "unit",
    "fast",
    "cpu",
    {"CPUExecutionProvider": 9},
    {},
    (),
    "2026",
    1.5,
)


def tap(layer: str, active: list[int], finite: int = 100, *, dead: bool = True, **single: float) -> list[Metric]:
    """Sparsity of one tap: how many inputs every channel is active for."""
    counts = np.array(active)
    each: dict[str, Any] = {
        "channel_active": counts,
        "channel_finite": np.full(counts.shape, finite),
        "channel_mean": counts / finite,
        "channel_zero_fraction": 1 - counts / finite,
    }
    if dead:
        each["channel_dead"] = counts == 0
        single = {"dead": float((counts == 0).sum()), **single}
    return [Metric(name, np.asarray(values), layer, "act") for name, values in {**each, **single}.items()]


def report(
    *metrics: Metric, findings: tuple[Finding, ...] = (), skipped: int = 0, origin: Provenance = ORIGIN
) -> Report:
    result = AnalysisResult("sparsity", "1", "{}", findings=findings, metrics=metrics)
    return Report(origin, (result,), skipped_count=skipped)


def finding(rule: str, layer: str = "", severity: Severity = Severity.WARNING, **evidence: Any) -> Finding:
    return Finding(rule, severity, "It is so", layer, (), evidence)
