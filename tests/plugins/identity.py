"""A network whose maps are its inputs, and what a report says of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from models import model

from inspector import Array, Finding, Metric, Report, Table


def identity_net(activation: str = "Relu", **constants: float) -> bytes:
    """Every output channel is an input channel; `activation` is what follows, `constants` its other inputs."""
    name, _, attributes = activation.partition(" ")
    inputs = ", ".join(["a", *constants])
    return model(
        f"[c] a = Conv <group=3> (x, w) y = {name} {attributes} ({inputs})", inputs="float[N,3,H,W] x",
        weights={"w": np.ones((3, 1, 1, 1), np.float32), **{k: np.array(v, "f") for k, v in constants.items()}},
    )  # fmt: skip


def rows(report: Report, analysis: str, title: str) -> list[dict[str, Any]]:
    """The rows of a table, cells by column."""
    result = report.result(analysis)
    assert result.failure is None, result.failure
    (found,) = (b for b in result.blocks if isinstance(b, Table) and b.title == title)
    return [dict(zip((c.name for c in found.columns), row, strict=True)) for row in found.rows]


def findings(report: Report, analysis: str) -> dict[str, Finding]:
    """By rule; every rule at most once, so only for models of one layer."""
    found = report.result(analysis).findings
    assert len({f.rule for f in found}) == len(found)
    return {f.rule.partition("/")[2]: f for f in found}


def published(report: Report, analysis: str) -> dict[str, dict[str, Array]]:
    """Values by name, by tap."""
    by_tap: dict[str, dict[str, Array]] = {}
    metrics: tuple[Metric, ...] = report.result(analysis).metrics
    for metric in metrics:
        by_tap.setdefault(metric.where, {})[metric.name] = metric.values
    return by_tap
