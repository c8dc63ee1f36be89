"""`mlflow.models.evaluate(…, evaluators="inspector")`: what a run holds afterwards, read back through MLflow."""

from __future__ import annotations

import inspect
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import onnx
import onnx.reference
import pandas as pd
import pytest
from mlflow.entities import Run
from mlflow.models import EvaluationResult, MetricThreshold
from mlflow.tracking import MlflowClient
from mlflow_nets import NET
from PIL import Image

from inspector import InspectorError, audit, service
from inspector.faces.exports.metrics import to_metrics
from inspector.faces.mlflow.artifacts import FOLDER, FORMATS, LoggedFile
from inspector.faces.mlflow.options import NAMES
from inspector.faces.wire import report_from_json
from inspector.report import Report

X = np.random.default_rng(3).normal(size=(5, 3, 6, 5)).astype(np.float32)
ROWS = pd.DataFrame({"x": list(X)})
FAILS = '[[rule]]\nid = "many-inputs"\nreport = "inputs"\nmin = 6\nseverity = "warning"\n'


def evaluate(model: Any, data: Any, config: Any = None, **options: Any) -> EvaluationResult:
    options = {"model_type": "cnn", "evaluators": "inspector", **options}
    with mlflow.start_run():
        return mlflow.models.evaluate(model, data, evaluator_config=config, **options)


def pictures(folder: Path, count: int) -> list[str]:
    rng, names = np.random.default_rng(8), []
    for at in range(count):
        names.append(str(folder / f"{at}.png"))
        Image.fromarray(rng.integers(0, 255, (6, 5, 3), np.uint8)).save(names[-1])
    return names


def stored(client: MlflowClient, result: EvaluationResult) -> Run:
    return client.get_run(result.run_id)


def plain(tree: Any) -> dict[str, float]:
    """metrics.json by the paths of its numbers, layers as MLflow is told their names."""
    if not isinstance(tree, dict):
        return {"": tree}
    parts = ((name.replace("/", ".").lstrip("."), plain(below)) for name, below in tree.items())
    return {f"{name}/{path}".rstrip("/"): value for name, below in parts for path, value in below.items()}


def logged_report(result: EvaluationResult) -> Report:
    return report_from_json(result.artifacts[f"{FOLDER}/report.json"].content)


def test_a_run_has_the_metrics_of_an_audit(net: str, client: MlflowClient) -> None:
    result = evaluate(net, ROWS, {"analyses": ["sparsity", "filters"]})
    ours = plain(json.loads(to_metrics(audit(NET, X, ["sparsity", "filters"]))))
    assert len(ours) == 35
    assert stored(client, result).data.metrics == ours == result.metrics


@pytest.mark.parametrize("by_id", [True, False])
def test_every_metric_is_logged_once_whether_or_not_mlflow_knows_the_model_by_an_id(
    by_id: bool, net: str, client: MlflowClient
) -> None:
    """By an id it logs by itself what evaluators give back, for the model too; by a run's address it does not."""
    model = mlflow.models.get_model_info(net)
    uri = net if by_id else f"runs:/{model.run_id}/net"
    result = evaluate(uri, ROWS, {"analyses": "sparsity"})
    assert stored(client, result).data.metrics == result.metrics
    histories = {name: client.get_metric_history(result.run_id, name) for name in result.metrics}
    assert {len(history) for history in histories.values()} == {1}
    of_model = [m.key for m in client.get_logged_model(model.model_id).metrics or () if m.run_id == result.run_id]
    assert sorted(of_model) == (sorted(result.metrics) if by_id else [])


def test_a_number_is_that_of_the_maps_themselves(net: str, client: MlflowClient) -> None:
    result = evaluate(net, ROWS, {"analyses": "sparsity"})
    proto = onnx.load_from_string(NET)
    proto.graph.output.add(name="r")
    *_, maps = onnx.reference.ReferenceEvaluator(proto).run(None, {"x": X})
    found = stored(client, result).data.metrics["sparsity/zero_fraction/block.c1.Conv:act"]
    assert found == pytest.approx((maps == 0).mean(), rel=1e-12)


def test_tags_say_the_verdict_and_where_the_numbers_come_from(net: str, client: MlflowClient, tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text(FAILS)
    result = evaluate(net, ROWS, {"analyses": "sparsity", "policies": tmp_path / "ours.toml"})
    tags, origin = stored(client, result).data.tags, logged_report(result).provenance
    found = {name: tags[f"inspector.{name}"] for name in ("ok", "worst_severity", "broken_rules", "failed_analyses")}
    assert found == {
        "ok": "true",
        "worst_severity": "warning",
        "broken_rules": "policy/many-inputs",
        "failed_analyses": "none",
    }
    assert tags["inspector.model_sha256"] == origin.sha256
    assert tags["inspector.data_sha256"] == origin.data_sha256 == audit(NET, X).provenance.data_sha256
    assert (tags["inspector.inputs"], tags["inspector.device"], tags["inspector.preprocess"]) == ("5", "cpu", "none")
    assert tags["inspector.providers"].startswith("CPUExecutionProvider (")
    assert result.metrics["policy/broken/model"] == 1
    with pytest.raises(mlflow.models.evaluation.validation.ModelValidationFailedException):
        mlflow.validate_evaluation_results(
            {"policy/broken/model": MetricThreshold(threshold=0, greater_is_better=False)}, result
        )


def broken(log: Callable[[bytes], str]) -> str:
    """The net with NaN among its weights."""
    proto = onnx.load_from_string(NET)
    bias = next(t for t in proto.graph.initializer if t.name == "b")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(4, np.nan, np.float32), "b"))
    return log(proto.SerializeToString())


def test_the_gate_of_the_page_stops_what_the_command_stops(
    net: str, log: Callable[[bytes], str], tmp_path: Path
) -> None:
    """Whatever the policy is about: an error of an analysis counts by itself."""
    gate = {"run/ok": MetricThreshold(threshold=1, greater_is_better=True)}
    (tmp_path / "ours.toml").write_text(FAILS.replace("min = 6", "min = 1"))
    policies = {"policies": tmp_path / "ours.toml"}
    fine = evaluate(net, ROWS, policies)
    mlflow.validate_evaluation_results(gate, fine)
    assert [fine.metrics[f"run/{name}"] for name in ("ok", "errors", "failed_analyses")] == [1, 0, 0]
    bad = evaluate(broken(log), ROWS, policies)
    assert bad.metrics["policy/broken/model"] == 0
    assert [bad.metrics[f"run/{name}"] for name in ("ok", "errors", "failed_analyses")] == [0, 2, 0]
    with pytest.raises(mlflow.models.evaluation.validation.ModelValidationFailedException):
        mlflow.validate_evaluation_results(gate, bad)


def test_a_number_that_is_not_finite_is_left_out_and_named(log: Callable[[bytes], str], client: MlflowClient) -> None:
    run = stored(client, evaluate(broken(log), ROWS, {"analyses": "sparsity"}))
    assert "sparsity/mean/block.c1.Conv:act" in run.data.tags["inspector.not_finite"].split(", ")
    assert "sparsity/mean/block.c1.Conv:act" not in run.data.metrics
    assert "sparsity/mean/block.c2.Conv:conv" not in run.data.metrics
    assert run.data.metrics["sparsity/not_finite/block.c1.Conv:act"] == 4  # channels


def test_the_report_its_pictures_and_its_other_formats_are_artifacts(
    net: str, client: MlflowClient, tmp_path: Path
) -> None:
    result = evaluate(net, ROWS, {"analyses": ["sparsity", "filters"]})
    paths = {item.path for item in client.list_artifacts(result.run_id, FOLDER)}
    assert paths == set(result.artifacts)
    assert paths >= {f"{FOLDER}/{file}" for file in (*FORMATS.values(), "report.json")}
    drawn = sorted(path for path in paths if path.endswith(".png"))
    assert len(drawn) >= 3
    for path in drawn:
        with Image.open(io.BytesIO(result.artifacts[path].content)) as picture:
            picture.load()
            assert min(picture.size) > 20
    assert logged_report(result).provenance.inputs == 5
    assert json.loads(result.artifacts[f"{FOLDER}/report.sarif"].content)["version"] == "2.1.0"
    result.save(str(tmp_path / "saved"))
    again = EvaluationResult.load(str(tmp_path / "saved"))
    assert again.metrics == result.metrics
    assert again.artifacts[drawn[0]].content == result.artifacts[drawn[0]].content
    assert isinstance(again.artifacts[drawn[0]], LoggedFile)


def test_names_of_files_are_fed_as_pictures(net: str, tmp_path: Path) -> None:
    names = pictures(tmp_path, 3)
    config = {"analyses": "sparsity", "preprocess": "unit"}
    result = evaluate(net, pd.DataFrame({"file": names}), config)
    assert result.metrics == plain(json.loads(to_metrics(audit(NET, names, ["sparsity"], preprocess="unit"))))
    elsewhere = evaluate(net, ROWS, {**config, "data": str(tmp_path)})
    assert elsewhere.metrics == result.metrics


def test_targets_are_the_labels_of_their_rows(net: str) -> None:
    frame = ROWS.assign(y=["cat", "dog", "cat", "dog", "cat"])
    result = evaluate(net, frame, {"analyses": "selectivity"}, targets="y", model_type="classifier")
    (own,) = [r for r in logged_report(result).results if r.name == "selectivity"]
    assert own.failure is None
    assert result.metrics["selectivity/classes/block.c1.Conv:act"] == 2


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_a_target_that_is_missing_is_no_class(net: str, missing: object) -> None:
    frame = ROWS.assign(y=pd.Series(["cat", "dog", missing, "dog", "nan"], dtype=object))
    result = evaluate(net, frame, {"analyses": "selectivity"}, targets="y", model_type="classifier")
    assert result.metrics["selectivity/classes/block.c1.Conv:act"] == 3  # a text is what it says


def test_paths_are_names_of_files_and_noise_may_stand_in_a_column_as_on_the_command_line(
    net: str, tmp_path: Path, client: MlflowClient
) -> None:
    names = pictures(tmp_path, 3)
    config = {"analyses": "sparsity", "preprocess": "unit"}
    of_texts = evaluate(net, pd.DataFrame({"file": names}), config)
    assert evaluate(net, pd.DataFrame({"file": [*map(Path, names)]}), config).metrics == of_texts.metrics
    noise = evaluate(net, pd.DataFrame({"file": ["noise:4"]}), {"analyses": "sparsity"})
    assert stored(client, noise).data.tags["inspector.inputs"] == "4"


@pytest.mark.parametrize("evaluators", ["inspector", ["inspector"]])
def test_options_may_stand_under_the_name_of_the_evaluator(net: str, evaluators: object) -> None:
    result = evaluate(net, ROWS, {"inspector": {"analyses": "sparsity"}}, evaluators=evaluators)
    assert result.metrics == evaluate(net, ROWS, {"analyses": "sparsity"}).metrics
    with pytest.raises(InspectorError, match="Did you mean 'analyses'"):
        evaluate(net, ROWS, {"inspector": {"analysis": "sparsity"}}, evaluators=evaluators)


def test_an_evaluation_that_does_not_mean_it_goes_on_without_it(net: str) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "y": [0.0, 1.0]})
    options: dict[str, Any] = {"targets": "y", "model_type": "regressor", "evaluators": None}
    with mlflow.start_run():
        result = mlflow.models.evaluate(
            lambda data: data["a"], frame, evaluator_config={"log_model_explainability": False}, **options
        )
    assert result.metrics["mean_absolute_error"] == 1
    assert not any(name.startswith(FOLDER) for name in result.artifacts)


@pytest.mark.parametrize(
    ("data", "config", "says"),
    [
        (ROWS, {"polices": "builtin:release"}, "Did you mean 'policies'"),
        (ROWS, {"strict": "perhaps"}, "strict in evaluator_config: it is not valid"),
        (ROWS, {"fidelity": "slow"}, "fidelity in evaluator_config: it is not valid"),
        (ROWS, {"memory": "many"}, "memory in evaluator_config: it is not valid"),
        (ROWS, {"analyses": "sparsty"}, "Did you mean 'sparsity'"),
        (ROWS, {"policies": "builtin:relaese"}, "Did you mean 'release'"),
        (ROWS[:0], {"analyses": "sparsity"}, "it holds nothing to feed"),
        (ROWS[[]], {"analyses": "sparsity"}, "it holds nothing to feed"),
        (pd.concat([ROWS, ROWS], axis=1), {"analyses": "sparsity"}, "two of its columns have one name"),
        (pd.DataFrame({"f": ["a.png", None]}), {"analyses": "sparsity"}, "its cells cannot be fed"),
        (pd.DataFrame({"x": [X[0], X[1][:2]]}), {"analyses": "sparsity"}, "arrays of one shape"),
        (ROWS.assign(z="a"), {"analyses": "sparsity"}, "column 'z' of data: its cells cannot be fed"),
        (ROWS.assign(z=ROWS["x"]), {"analyses": "sparsity"}, "its arrays are not the model's inputs"),
        (X.reshape(5, -1), {"analyses": "sparsity"}, "expected (N, 3, 6, 5)"),
        (pd.DataFrame({"f": ["nowhere.png"]}), {"analyses": "sparsity"}, "there is no such file"),
        (ROWS, {"data": "nowhere"}, "there is no such file"),
    ],
)
def test_what_cannot_be_done_is_said_by_name(net: str, data: Any, config: dict[str, Any], says: str) -> None:
    with pytest.raises(InspectorError) as error:
        evaluate(net, data, config)
    assert says in str(error.value)


def test_every_option_reaches_the_audit(net: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config: dict[str, Any] = {
        "data": "elsewhere", "analyses": ("sparsity",), "policies": ("builtin:release",), "preprocess": "unit",
        "device": "cpu", "fidelity": "exact", "batch_size": 3, "strict": True, "memory": 1 << 20, "self_check": False,
        "shard_size": 4, "part": "1/2", "resume": "checkpoints", "runner": "ray", "summaries": "s.sum",
    }  # fmt: skip
    asked, heard = inspect.signature(service.audit), dict[str, Any]()

    def listening(*args: Any, **options: Any) -> Report:
        heard.update(asked.bind(*args, **options).arguments)
        raise InspectorError("audit", "that is enough")

    monkeypatch.setattr(service, "audit", listening)
    with pytest.raises(InspectorError, match="that is enough"):
        evaluate(net, ROWS, config)
    assert heard.pop("model").name == "model.onnx"  # a file, for a cluster
    assert heard == config
    assert config.keys() == set(NAMES)


def test_files_with_targets_are_refused_as_their_labels_come_from_elsewhere(net: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"file": pictures(tmp_path, 2), "y": ["cat", "dog"]})
    with pytest.raises(InspectorError, match="Leave targets out"):
        evaluate(net, frame, {"preprocess": "unit"}, targets="y")


def test_a_policy_with_an_unknown_metric_fails_before_anything_runs(net: str, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('[[rule]]\nid = "a"\nmetric = "sparsity.daed"\nmax = 1\n')
    unreadable = tmp_path / "broken.png"
    unreadable.write_bytes(b"no picture")
    config = {"policies": [str(tmp_path / "bad.toml")], "data": str(unreadable), "strict": True, "preprocess": "unit"}
    with pytest.raises(InspectorError, match=r"metric '.*' of rule 'a'"):
        evaluate(net, ROWS, config)


def test_usage_data_is_not_sent_where_the_variable_of_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.telemetry import get_telemetry_client, utils

    assert get_telemetry_client() is None
    monkeypatch.setattr(utils, "_IS_IN_CI_ENV_OR_TESTING", False)  # which would say no by itself
    monkeypatch.delenv("DO_NOT_TRACK", raising=False)
    assert utils.is_telemetry_disabled()
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY")
    assert not utils.is_telemetry_disabled()
