"""Options and names on their way to and from MLflow."""

from __future__ import annotations

import dataclasses
import inspect
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.models.evaluation import ModelEvaluator
from mlflow.utils.validation import _validate_metric_name, _validate_tag

from inspector import Finding, Metric, Severity, service
from inspector.contract import Overruled, TensorInfo
from inspector.errors import InputError
from inspector.faces.exports.metrics import counts_of
from inspector.faces.mlflow.evaluator import InspectorEvaluator
from inspector.faces.mlflow.features import data_of
from inspector.faces.mlflow.names import LONGEST, distinct, named
from inspector.faces.mlflow.options import Options, meant
from inspector.faces.mlflow.tags import tags_of
from inspector.report import AnalysisResult, Failure, Provenance, Report, Skipped

ROOT = Path(__file__).resolve().parents[3]
TEXT = st.text("a./:\\\ud800 é-\n", max_size=6) | st.text(st.characters(), max_size=300)
PATHS = st.lists(TEXT, min_size=1, max_size=3).map(tuple)
THEIRS = (
    "log_model_explainability", "explainability_algorithm", "explainability_nsamples", "explainability_kernel_link",
    "max_classes_for_multiclass_roc_pr", "metric_prefix", "log_metrics_with_dataset_info", "pos_label", "average",
    "sample_weights", "col_mapping", "retriever_k",
)  # fmt: skip
"""What MLflow documents for its own evaluators."""


def test_the_options_are_those_of_an_audit_with_its_defaults() -> None:
    asked = inspect.signature(service.audit).parameters
    theirs = {name: p.default for name, p in asked.items() if name not in {"model", "data", "watch", "stop"}}
    ours = {field.name: field.default for field in dataclasses.fields(Options)}
    assert ours == {"data": None, **theirs}


def test_the_entry_point_is_an_evaluator_with_the_methods_that_mlflow_calls() -> None:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    group = "mlflow.model_evaluator"
    assert EntryPoint("inspector", points[group]["inspector"], group).load() is InspectorEvaluator
    for name in ModelEvaluator.__abstractmethods__:
        theirs, ours = (inspect.signature(getattr(c, name)).parameters for c in (ModelEvaluator, InspectorEvaluator))
        takes_all = any(p.kind is p.VAR_KEYWORD for p in ours.values())
        assert takes_all
        assert {n for n, p in ours.items() if p.kind is not p.VAR_KEYWORD} <= theirs.keys()


@pytest.mark.parametrize("name", THEIRS)
def test_an_option_of_another_evaluator_is_not_taken_for_ours(name: str) -> None:
    assert not meant({name: 1})


@pytest.mark.parametrize("name", ["data", "analysis", "polices", "Preprocess", "batchsize"])
def test_an_option_of_ours_is_known_even_with_a_slip(name: str) -> None:
    assert meant({"pos_label": 1, name: 1})


def test_a_finding_that_a_policy_ignores_is_not_the_worst() -> None:
    found = Finding("a/b", Severity.INFO, "So", overruled=Overruled(Severity.ERROR, "p", "Why", ignored=True))
    report = Report(Provenance("m", "ab"), (AnalysisResult("a", "1", "{}", findings=(found,)),))
    assert tags_of(report, ())["inspector.worst_severity"] == "none"


def test_tags_list_every_name_once_and_so_many_of_them() -> None:
    found = tuple(Finding(f"policy/{k % 21:02d}", Severity.INFO, "So") for k in range(42))
    origin = Provenance("m", "ab", data="x" * 6000)
    judged = AnalysisResult("policy", "1", "{}", findings=found)
    tags = tags_of(Report(origin, (judged,), (Skipped("a", "broken"),), 7), ())
    assert tags["inspector.broken_rules"] == ", ".join(f"policy/{k:02d}" for k in range(20)) + ", … (21 in all)"
    assert tags["inspector.data"] == "x" * 5000
    assert tags["inspector.skipped"] == "7"  # though one of them is listed


def dataset(**columns: object) -> SimpleNamespace:
    """As MLflow hands it to an evaluator."""
    return SimpleNamespace(features_data=pd.DataFrame(columns), has_targets=False, labels_data=None)


def test_two_columns_of_texts_are_no_places() -> None:
    with pytest.raises(InputError, match="column 'file' of data: its cells cannot be fed"):
        data_of(dataset(file=["a.png", "b.png"], other=["c.png", "d.png"]), ())


@pytest.mark.parametrize("kind", [ml_dtypes.bfloat16, np.complex64])
def test_cells_may_be_of_any_type_that_a_model_may_take(kind: type) -> None:
    cells = list(np.arange(6).reshape(2, 3).astype(kind))
    found = data_of(dataset(anything=cells), (TensorInfo("x", "", ("N", 3)),))
    assert isinstance(found, dict)
    assert found["x"].dtype == kind
    np.testing.assert_array_equal(found["x"], cells)


def test_without_options_nobody_means_it() -> None:
    assert not meant({})
    assert not meant(None)


def test_one_text_is_a_list_of_one_and_memory_may_have_a_unit() -> None:
    options = Options.parse({"analyses": "sparsity", "policies": Path("a.toml"), "memory": "2GiB", "resume": Path("c")})
    assert (options.analyses, options.policies, options.memory) == (("sparsity",), (Path("a.toml"),), 2 << 30)
    assert options.resume == Path("c")


@given(st.lists(PATHS, unique=True, max_size=8))
def test_every_name_is_one_that_mlflow_takes_and_no_two_are_the_same(paths: list[tuple[str, ...]]) -> None:
    names = distinct(paths)
    assert len(set(names)) == len(paths)
    for name in names:
        _validate_metric_name(name)
        assert len(name) <= LONGEST


def test_a_name_is_its_path_where_that_is_plain() -> None:
    paths = [("sparsity", "dead", "conv1:act"), ("sparsity", "dead", "/a/b"), ("filters", "zero", "..")]
    assert distinct(paths) == ["sparsity/dead/conv1:act", "sparsity/dead/a.b", "filters/zero/_"]


def test_names_that_are_too_long_are_cut_and_stay_apart() -> None:
    first, second, fits = distinct([("a", "m", "x" * 300), ("a", "m", "x" * 301), ("a", "m", "y" * (LONGEST - 4))])
    assert (len(first), len(second), fits) == (LONGEST, LONGEST, "a/m/" + "y" * (LONGEST - 4))
    assert first != second


def test_layers_that_would_share_a_name_keep_their_own_in_every_order() -> None:
    paths = [("a", "m", "x/y"), ("a", "m", "x.y"), ("a", "m", "z")]
    first, second, plain = distinct(paths)
    assert first != second
    assert {first.partition("-")[0], second.partition("-")[0], plain} == {"a/m/x.y", "a/m/z"}
    assert distinct(paths[::-1]) == [plain, second, first]


@given(st.lists(st.tuples(TEXT, TEXT, TEXT, st.floats()), max_size=5), TEXT)
def test_every_report_has_metrics_and_tags_that_mlflow_takes(
    rows: list[tuple[str, str, str, float]], text: str
) -> None:
    results = [AnalysisResult(a, "1", "{}", metrics=(Metric(m, np.array(v), w),)) for a, m, w, v in rows]
    finding = Finding(f"policy/{text}", Severity.INFO, text)
    judged = AnalysisResult("policy", text, "{}", findings=(finding,), failure=Failure(text, text))
    report = Report(Provenance(text, text, text, providers={text: 3}), (*results, judged))
    metrics, not_finite = named(report)
    assert len(metrics) + len(not_finite) == len(rows) + len(counts_of(report))
    for name in (*metrics, *not_finite):
        _validate_metric_name(name)
    for name, said in tags_of(report, not_finite).items():
        _validate_tag(name, said)
        assert said.encode()
