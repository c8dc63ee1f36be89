"""The evaluator that MLflow finds by its entry point, `mlflow.model_evaluator`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow.entities import Metric, RunTag
from mlflow.models import EvaluationResult
from mlflow.tracking import MlflowClient

from inspector import service
from inspector.faces.mlflow.artifacts import log_files
from inspector.faces.mlflow.features import data_of
from inspector.faces.mlflow.model_file import fetch
from inspector.faces.mlflow.names import named
from inspector.faces.mlflow.options import Options, meant
from inspector.faces.mlflow.tags import tags_of
from inspector.report import Report


class InspectorEvaluator:
    """`mlflow.models.evaluate(model_uri, data, evaluators="inspector", evaluator_config={…})` as an audit.

    It has the methods of `mlflow.models.ModelEvaluator`. A fresh one is made for every evaluation.
    """

    @classmethod
    def can_evaluate(cls, *, evaluator_config: Mapping[str, Any] | None, **_: Any) -> bool:
        """Whether an option of ours is given; the model, which MLflow does not show here, may be of any type.

        Without an evaluator's name, MLflow asks all that are installed. One that is not meant has to stay out.
        """
        return meant(evaluator_config)

    def evaluate(
        self, *, model: Any, dataset: Any, run_id: str, evaluator_config: Mapping[str, Any], **more: Any
    ) -> EvaluationResult:
        """Audits the model's ONNX file, and logs metrics, tags and files to the run.

        Where MLflow knows the model by an id, it logs the metrics that it is given by itself, once all is done.

        Raises:
            InspectorError: the audit cannot be carried out. An analysis that fails, or a policy that does not hold, is
                no error: it is in the report and in the tags.
        """
        options = Options.parse(evaluator_config)
        with TemporaryDirectory() as place:
            report = _audit(fetch(model, Path(place)), dataset, options)
        return _logged(report, run_id, metrics_too=not more.get("model_id"))


def _audit(file: Path, dataset: Any, options: Options) -> Report:
    view = service.load(file)
    return service.audit(
        file if options.runner else view,  # a cluster's workers load it themselves
        data_of(dataset, view.inputs) if options.data is None else options.data,
        options.analyses,
        policies=options.policies, preprocess=options.preprocess, device=options.device, fidelity=options.fidelity,
        batch_size=options.batch_size, strict=options.strict, memory=options.memory, self_check=options.self_check,
        shard_size=options.shard_size, part=options.part, resume=options.resume, runner=options.runner,
        summaries=options.summaries,
    )  # fmt: skip


def _logged(report: Report, run_id: str, *, metrics_too: bool) -> EvaluationResult:
    client, now = MlflowClient(), int(time.time() * 1000)
    metrics, not_finite = named(report)
    client.log_batch(
        run_id,
        metrics=[Metric(name, value, now, 0) for name, value in metrics.items()] if metrics_too else [],
        tags=[RunTag(name, text) for name, text in tags_of(report, not_finite).items()],
    )
    return EvaluationResult(metrics=dict(metrics), artifacts=dict(log_files(report, client, run_id)), run_id=run_id)
