"""What a user writes over the public names. Nothing runs it: mypy reads it, and says where a type is not what it says.

`assert_type` also fails where a name would be `Any`, which would let every mistake of a user pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_type

import numpy as np
from inspector_plugins.activations import Activations
from inspector_plugins.connectivity import Connectivity
from inspector_plugins.distribution import Distribution
from inspector_plugins.filters import Filters
from inspector_plugins.selectivity import Selectivity
from inspector_plugins.sparsity import Sparsity
from pydantic import BaseModel

import inspector
from inspector import (
    Analysis,
    Array,
    BatchInfo,
    Block,
    Column,
    Explored,
    Finding,
    Lab,
    Max,
    Measured,
    ModelView,
    Ops,
    Report,
    Summary,
    Table,
    Tap,
    Value,
)

Rows = list[tuple[str, float]]


@dataclass(frozen=True, eq=False)
class Peak(Summary):
    peak: Max


class Peaks:
    name, version, summary = "peaks", "1", Peak

    class Params(BaseModel):
        least: float = 0.0

    def __init__(self, params: Params) -> None:
        self.params = params

    def select(self, model: ModelView) -> Sequence[Tap]:
        return model.taps()

    def observe(self, op: Ops, x: Value, tap: Tap) -> Mapping[str, Value]:
        return {"peak": op.max(x)}

    def summarize(self, tap: Tap, rows: Mapping[str, Array], batch: BatchInfo) -> Peak:
        assert_type(batch.ids, tuple[str, ...])
        return Peak(rows["peak"].max(axis=0))

    def finalize(self, model: ModelView, summaries: Mapping[Tap, Peak]) -> Rows:
        return [(tap.name, float(found.peak.max())) for tap, found in summaries.items()]

    def present(self, result: Rows) -> Sequence[Block | Finding]:
        return [Table("Peaks", (Column("tap"), Column("largest")), tuple(result))]


class Walk:
    name, version = "walk", "1"

    class Params(BaseModel):
        pass

    def __init__(self, params: Params) -> None: ...

    def explore(self, model: ModelView, lab: Lab) -> float:
        maps = lab.run({name: array * 2 for name, array in lab.inputs.items()}, model.taps("conv1"))
        return sum(float(array.mean()) for array in maps.values())

    def present(self, result: float) -> Sequence[Block | Finding]:
        return [Finding("walk/mean", inspector.Severity.INFO, f"{result:.3f}")]


measured: type[Measured[Peak, Rows]] = Peaks
explored: type[Explored[float]] = Walk
ours: list[type[Analysis[Any] | Measured[Any, Any]]] = [
    Activations,
    Connectivity,
    Distribution,
    Filters,
    Selectivity,
    Sparsity,
]


def local(path: str, pictures: str) -> Report:
    model = inspector.load(path)
    names = [(layer.name, layer.op, layer.activation) for layer in model.layers]
    assert_type(names, list[tuple[str, str, str | None]])
    maps = inspector.activations(model, f"{pictures}/3", ["conv2"], preprocess="unit")
    assert_type(maps, dict[str, Array])
    try:
        inspector.inspect(model, np.zeros((1, 3, 8, 8), np.float32), ["filters"])
    except inspector.InspectorError as error:
        assert_type((error.subject, error.remedy), tuple[str, str])
    assert_type(inspector.vet(path), inspector.Trial)
    report = inspector.audit(model, pictures, ["sparsity"], preprocess="unit")
    inspector.write_report(report, json="audit.json", out="out/audit")
    assert_type(inspector.read_report("audit.json"), Report)
    return inspector.compare(report, inspector.check(report, "builtin:release"))


def remote(target: str) -> tuple[Finding, ...]:
    with inspector.Client(target) as client:
        assert_type(client.models(), tuple[inspector.ModelInfo, ...])
        assert_type(client.plugins(), tuple[inspector.PluginInfo, ...])
        report = client.audit("digits_hot", "server:digits", preprocess="unit")
    assert_type(report.results[0].findings, tuple[Finding, ...])
    return report.findings
