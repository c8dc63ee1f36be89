"""The page about MLflow: its code runs, and its table names what a run has."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from test_docs import fenced, names_in, place, rows_of  # noqa: F401 - a fixture is used by its name

from inspector.faces.mlflow.tags import PREFIX

PAGE = Path(__file__).resolve().parents[3] / "docs" / "pipelines.md"
SHOW = "\nimport json\nprint(json.dumps([summary, mlflow.get_run(result.run_id).data.tags]))\n"


def test_the_code_of_the_page_runs_as_it_is_and_its_table_names_every_tag(place: Path) -> None:  # noqa: F811
    """In a process and a folder of its own, without a setting of ours; telemetry is off, as the page says how."""
    (code,) = (block for block in fenced(PAGE, "python") if "import mlflow" in block)
    settings = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    command = [sys.executable, "-c", code + SHOW]
    off = {"MLFLOW_DISABLE_TELEMETRY": "true"}
    ran = subprocess.run(command, env=settings | off, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    dead_share, shown = ran.stdout.splitlines()
    summary, tags = json.loads(shown)
    assert dead_share == "0.0"
    assert summary.startswith("## Passed")
    assert (place / "mlflow.db").is_file()
    said = {name for row in rows_of(PAGE, "MLflow") for cell in row for name in names_in(cell)}
    ours = {tag.removeprefix(PREFIX) for tag in tags if tag.startswith(PREFIX)}
    assert ours - {"version", "not_finite"} <= said
    assert f"{PREFIX}not_finite" in said
    assert {name for name in said if re.fullmatch("[a-z_0-9]+", name)} <= ours
