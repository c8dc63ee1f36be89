"""The pages define all that a comparison says, and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from made import ORIGIN, report, tap

from inspector import Metric, Table
from inspector.policy.compare import METRICS, RULES, compare
from inspector.report import AnalysisResult

DOCS = Path(__file__).resolve().parents[2] / "docs"


def section(page: str, heading: str) -> str:
    text = (DOCS / page).read_text("utf-8").partition(f"\n## {heading}\n")[2]
    return text.partition("\n## ")[0]


def first_cells(text: str) -> set[str]:
    """Names in the first cells of all tables."""
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_every_table_column_and_rule_is_defined_and_every_definition_is_one() -> None:
    before = report(*tap("a", [100, 9]), *tap("b", [1]))
    weights = (AnalysisResult("filters", "1", "{}", metrics=(Metric("not_finite", np.array(n), "a"),)) for n in (0, 1))
    after = report(*tap("a", [0, 9]), *tap("c", [1, 1]), origin=replace(ORIGIN, inputs=7))
    answer = compare(*(replace(x, results=(*x.results, w)) for x, w in zip((before, after), weights, strict=True)))
    tables = [block for block in answer.results[0].blocks if isinstance(block, Table)]
    text = section("numbers.md", "compare")
    assert re.findall(r"^\*\*(.+)\*\*$", text, re.MULTILINE) == [*(t.title for t in tables), "Findings"]
    assert first_cells(text) == {column.name for t in tables for column in t.columns} | set(RULES)


def test_every_metric_is_defined() -> None:
    named = first_cells(section("pipelines.md", "Comparing")) - {"compare.delta_<analysis>_<metric>"}
    assert named == {f"compare.{info.name}" for info in METRICS}
