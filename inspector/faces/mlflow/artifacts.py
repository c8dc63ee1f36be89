"""The files of a report as artifacts of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from mlflow.models import EvaluationArtifact
from mlflow.tracking import MlflowClient
from mlflow.tracking.artifact_utils import get_artifact_uri

from inspector.faces.exports import write_format
from inspector.faces.files import save_report
from inspector.report import Report

FOLDER: Final = "inspector"
"""Where they are among the artifacts of a run."""
FORMATS: Final = {
    "junit": "junit.xml",
    "sarif": "report.sarif",
    "metrics": "metrics.json",
    "summary": "summary.md",
    "html": "report.html",
}
"""The files beside `report.json` and the pictures, by format."""


class LoggedFile(EvaluationArtifact):  # type: ignore[misc] # MLflow's types are not looked at
    """A file of a report, in the artifact store. Its content is bytes, fetched when somebody asks for it."""

    def _load_content_from_file(self, local_artifact_path: str) -> bytes:
        return Path(local_artifact_path).read_bytes()

    def _save(self, output_artifact_path: str) -> None:
        Path(output_artifact_path).write_bytes(self.content)


def log_files(report: Report, client: MlflowClient, run_id: str) -> Mapping[str, LoggedFile]:
    """Logs the report, its pictures and its other formats to a run; gives them by `inspector/<file>`."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        save_report(report, folder)
        for name, file in FORMATS.items():
            write_format(name, report, folder / file)
        names = sorted(file.name for file in folder.iterdir())
        client.log_artifacts(run_id, place, FOLDER)
    paths = [f"{FOLDER}/{name}" for name in names]
    return {path: LoggedFile(get_artifact_uri(run_id, path)) for path in paths}
