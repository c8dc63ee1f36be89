"""metrics.json: nested numbers, as DVC and trackers read them."""

from __future__ import annotations

import json
import math

from inspector.faces.wire_tensor import utf8
from inspector.report import Report


def to_metrics(report: Report) -> str:
    """Single numbers as `{analysis: {metric: {layer or layer:tap: number}}}`; those of the whole model under `model`.

    What is per channel is left to the report, and so is what is not finite, as JSON has no such number. A second result
    of one analysis is called `analysis#2`.
    """
    tree: dict[str, dict[str, dict[str, float]]] = {}
    for result in report.results:
        count = sum(name.partition("#")[0] == utf8(result.name) for name in tree)
        own = tree.setdefault(utf8(result.name) + (f"#{count + 1}" if count else ""), {})
        for metric in result.metrics:
            value = metric.values.item() if metric.values.ndim == 0 else math.nan
            if math.isfinite(value):
                own.setdefault(utf8(metric.name), {})[utf8(metric.where) or "model"] = value
    counts = {"inputs": report.provenance.inputs, "skipped": report.skipped_count}
    return json.dumps({"run": counts, **tree}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
