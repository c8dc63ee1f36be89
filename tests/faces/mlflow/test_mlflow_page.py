"""The page about MLflow: its code runs, and its table names what a run has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import mlflow
import pytest
from test_docs import fenced, names_in, place, rows_of  # noqa: F401 - a fixture is used by its name

from inspector.faces.mlflow.tags import PREFIX

PAGE = Path(__file__).resolve().parents[3] / "docs" / "pipelines.md"


def test_the_code_of_the_page_runs_and_its_table_names_every_tag(
    store: Path,
    place: Path,  # noqa: F811 - the fixture
    capsys: pytest.CaptureFixture[str],
) -> None:
    (code,) = (block for block in fenced(PAGE, "python") if "import mlflow" in block)
    names: dict[str, Any] = {}
    exec(compile(code.replace('name="digits"', 'name="digits", pip_requirements=[]'), "page", "exec"), names)
    assert capsys.readouterr().out == "0.0\n"
    assert names["summary"].startswith("## Passed")
    tags = mlflow.get_run(names["result"].run_id).data.tags
    said = {name for row in rows_of(PAGE, "MLflow") for cell in row for name in names_in(cell)}
    ours = {tag.removeprefix(PREFIX) for tag in tags if tag.startswith(PREFIX)}
    assert ours - {"version", "not_finite"} <= said
    assert f"{PREFIX}not_finite" in said
    assert {name for name in said if re.fullmatch("[a-z_0-9]+", name)} <= ours
