"""The page about numbers: options of analyses, and what policies say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_docs import names_in, rows_of, section

from inspector import service
from inspector.policy import judge, overrule

PAGE = Path(__file__).resolve().parent.parent / "docs" / "numbers.md"


@pytest.mark.parametrize("analysis", [info.name for info in service.plugins()])
def test_every_option_of_an_analysis_is_named_in_its_section(analysis: str) -> None:
    (info,) = (info for info in service.plugins() if info.name == analysis)
    named = {name.partition("=")[0] for name in names_in(section(PAGE, analysis).replace("\n", " "))}
    assert json.loads(info.params_schema)["properties"].keys() <= named


def test_the_tables_and_metrics_of_policies_are_defined() -> None:
    defined = [name for row in rows_of(PAGE, "policy") for name in names_in(row[0])]
    assert sorted(defined) == sorted(column.name for column in (*judge.COLUMNS, *overrule.COLUMNS))
    assert all(f"\n**{title}**\n" in section(PAGE, "policy") for title in (judge.TITLE, overrule.TITLE))
    metrics = {names_in(row[0])[0] for row in rows_of(PAGE, "Metrics")}
    assert {name for name in metrics if name.startswith("policy.")} == {f"policy.{info.name}" for info in judge.METRICS}
