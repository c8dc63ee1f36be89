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


def tap(
    layer: str, active: list[int], inputs: int = 100, *, finite: list[int] | None = None, dead: bool = True,
    kind: str = "act", constant: list[int] | None = None, **single: float,
) -> list[Metric]:  # fmt: skip
    """Sparsity of one tap: how many inputs every channel is active for, and finite for (by default all)."""
    counts = np.array(active)
    maps = np.full(counts.shape, inputs) if finite is None else np.array(finite)
    shares = np.where(maps > 0, counts / np.maximum(maps, 1), np.nan)
    each: dict[str, Any] = {
        "inputs": inputs,
        "not_finite": int((maps < inputs).sum()),
        "channel_active": counts,
        "channel_finite": maps,
        "channel_mean": shares,
        "channel_zero_fraction": 1 - shares,
    }
    if constant is not None:
        each["channel_constant"] = np.array(constant)
    if dead:
        silent = (counts == 0) & (maps == inputs)
        each["channel_dead"] = silent
        single = {"dead": float(silent.sum()), **single}
    return [Metric(name, np.asarray(values), layer, kind) for name, values in {**each, **single}.items()]


def report(
    *metrics: Metric, findings: tuple[Finding, ...] = (), skipped: int = 0, origin: Provenance = ORIGIN
) -> Report:
    result = AnalysisResult("sparsity", "1", "{}", findings=findings, metrics=metrics)
    return Report(origin, (result,), skipped_count=skipped)


def finding(rule: str, layer: str = "", severity: Severity = Severity.WARNING, **evidence: Any) -> Finding:
    return Finding(rule, severity, "It is so", layer, (), evidence)
