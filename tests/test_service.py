"""The use cases, as faces and notebooks call them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import NEWEST, ZOO, model, numbers

import inspector
from inspector import service
from inspector.errors import InputError, LimitError, ModelError, NotFoundError, ParameterError, RunError
from inspector.graph.load import Limits
from inspector.report import Failure, Skipped
from inspector.runtime.data import Raw
from inspector.samples import SAMPLES

CHAIN = ZOO["chain"]
X = CHAIN.inputs(3)


def test_a_model_may_be_given_as_a_view_a_path_or_bytes(tmp_path: Path) -> None:
    path = tmp_path / "chain.onnx"
    path.write_bytes(CHAIN.data)
    for given in (service.load(CHAIN.data), path, str(path), CHAIN.data):
        report = service.audit(given, X)
        assert report.provenance.sha256 == hashlib.sha256(CHAIN.data).hexdigest()
        assert report.provenance.model == (
            "model" if given is CHAIN.data or not isinstance(given, str | Path) else "chain"
        )


def test_one_text_or_path_stands_for_a_list_of_it(tmp_path: Path) -> None:
    sums = tmp_path / "a.sum"
    report = service.audit(CHAIN.data, X, 'sparsity:taps=["*"]', policies="builtin:sparsity", summaries=sums)
    assert [r.name for r in report.results] == ["sparsity", "policy"]
    assert [r.name for r in service.inspect(CHAIN.data, None, "filters").results] == ["filters"]
    assert [r.name for r in service.merge(CHAIN.data, sums, policies="builtin:sparsity").results] == [
        "sparsity", "policy",
    ]  # fmt: skip
    assert service.check(report, "builtin:dormant").result("policy") != report.result("policy")
    assert service.compare(report, report, "builtin:unchanged").ok
    assert set(service.activations(CHAIN.data, X, "c:conv")) == {"c:conv"}
    assert [tap.name for tap in service.load(CHAIN.data).taps("c")] == ["c:act"]


def test_a_run_is_not_judged_by_a_policy_of_comparisons_and_is_told_what_is() -> None:
    says = "the analysis that it is about is not there; expected compare, .* Judge what `inspector compare` says"
    with pytest.raises(ParameterError, match=says):
        service.audit(CHAIN.data, X, policies="builtin:unchanged")


def test_none_stands_for_nothing_wherever_several_may_be_given() -> None:
    report = service.audit(CHAIN.data, X, None, policies=None)
    assert [r.name for r in report.results] == ["sparsity"]
    assert [r.name for r in service.inspect(CHAIN.data, None, None).results] == list(service.STATIC_DEFAULT)
    for nothing in (None, (), np.array([])):
        assert [r.name for r in service.compare(report, report, nothing).results] == ["compare"]


@pytest.mark.parametrize("given", [Path("sparsity"), 3, b"sparsity", [b"x"], np.array("sparsity")], ids=repr)
def test_what_is_none_of_those_that_may_be_given_is_told_so(given: Any) -> None:
    report = service.audit(CHAIN.data, X)
    told = {
        "analyses": lambda: service.audit(CHAIN.data, X, given),
        "taps": lambda: service.activations(CHAIN.data, X, given),
        **({} if isinstance(given, Path) else {
            "policies": lambda: service.check(report, given),
            "files": lambda: service.merge(CHAIN.data, given),
        }),
    }  # fmt: skip
    for subject, call in told.items():
        with pytest.raises(ParameterError, match=f"{subject}: one is of another kind; expected .*, found "):
            call()


@pytest.mark.parametrize("given", ["digits.json", Path("digits.json"), b"{}", None])
def test_what_is_no_report_is_told_how_to_become_one(given: Any) -> None:
    report = service.audit(CHAIN.data, X)
    for judge in (
        lambda: service.check(given, "builtin:sparsity"),
        lambda: service.compare(given, report),
        lambda: service.compare(report, given),
    ):
        with pytest.raises(ParameterError, match=r"report: it is none; .*inspector\.read_report\(path\)"):
            judge()


def test_a_list_of_arrays_is_told_what_to_do() -> None:
    with pytest.raises(InputError, match=r"arrays by the names of inputs, or Raw, found ndarray\. Stack several"):
        service.audit(CHAIN.data, list(X))
    with pytest.raises(InputError, match=r"nothing to feed.*give a picture in memory as Raw"):
        service.audit(CHAIN.data, 3)


def test_inputs_smaller_than_a_kernel_are_told_by_the_runtime_of_the_models_own_node() -> None:
    """Inference has sizes below 0 for such maps, two of which make an area."""
    data = model("y = Conv(x, w)", inputs="float[N,3,5,5] x", weights={"w": numbers(4, 3, 32, 32)})
    with pytest.raises(RunError, match="running Conv node"):
        service.audit(data, np.ones((2, 3, 5, 5), np.float32), ["distribution"], device="cpu")


def test_loading_passes_the_limits_on() -> None:
    with pytest.raises(LimitError):
        service.load(CHAIN.data, limits=Limits(nodes=1))


def test_activations_refuse_an_input_of_several_that_cannot_be_used(tmp_path: Path) -> None:
    """Without it nobody knew which row was whose."""
    sample = SAMPLES[0]
    for name in ("a.png", "c.png"):
        (tmp_path / name).write_bytes(next(sample.pictures.rglob("*.png")).read_bytes())
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"b\.png'?: it cannot be used"):
        service.activations(sample.model, tmp_path, preprocess=sample.preprocess)


def test_activations_come_by_tap_name_in_the_models_own_type() -> None:
    maps = service.activations(CHAIN.data, X, ["*", "c:conv"])
    kinds = {name: (a.shape, a.dtype.name) for name, a in maps.items()}
    assert kinds == dict.fromkeys(("c:act", "c:conv", "d:act"), ((3, 4, 6, 5), "float32"))
    np.testing.assert_array_equal(maps["c:act"], np.maximum(maps["c:conv"], 0))
    half = ZOO["float16_7"]
    assert service.activations(half.data, half.inputs(2))["c:act"].dtype == np.float16
    assert service.activations(CHAIN.data, X, []) == {}


def test_taps_that_share_a_tensor_come_under_both_names() -> None:
    case = ZOO["residual"]
    maps = service.activations(case.data, case.inputs(2))
    assert list(maps) == ["c:act", "d:act"]
    np.testing.assert_array_equal(maps["c:act"], maps["d:act"])


def test_one_input_without_a_batch_axis_is_one_input() -> None:
    alone = service.activations(CHAIN.data, X[0])["d:act"]
    np.testing.assert_array_equal(alone, service.activations(CHAIN.data, X[:1])["d:act"])


def test_exact_and_fast_agree_to_rounding_and_say_which_they_are() -> None:
    exact, fast = (service.activations(CHAIN.data, X, fidelity=f)["d:act"] for f in ("exact", "fast"))
    np.testing.assert_allclose(fast, exact, rtol=1e-5, atol=1e-6)
    assert [service.audit(CHAIN.data, X, fidelity=f).provenance.fidelity for f in ("exact", "fast")] == [
        "exact",
        "fast",
    ]


def test_the_defaults_are_what_a_user_expects() -> None:
    def names(report: inspector.Report) -> list[str]:
        return [result.name for result in report.results]

    assert names(service.inspect(CHAIN.data)) == ["filters", "connectivity"]
    assert names(service.inspect(CHAIN.data, X)) == ["filters", "activations", "sparsity", "connectivity"]
    assert names(service.audit(CHAIN.data, X)) == ["sparsity"]
    audit, inspection = service.audit(CHAIN.data, X).provenance, service.inspect(CHAIN.data, X).provenance
    assert (audit.batch, audit.fidelity) == (64, "fast")
    assert (inspection.batch, inspection.fidelity) == (1, "exact")


def test_provenance_says_where_every_number_comes_from() -> None:
    where = service.audit(CHAIN.data, X, batch_size=2).provenance
    assert (where.inputs, where.device, where.preprocess) == (3, "cpu", "")
    assert sum(where.providers.values()) > 2
    assert {"python", "onnxruntime", "onnx", "numpy", "onnx-inspector"} <= set(where.versions)
    assert where.started.endswith("+00:00")
    assert where.seconds > 0
    other = service.audit(CHAIN.data, X[::-1].copy(), batch_size=2).provenance
    assert where.data_sha256 != other.data_sha256


def test_what_only_the_weights_say_needs_no_data_and_uses_none() -> None:
    where = service.inspect(CHAIN.data, X, ["filters"]).provenance
    assert (where.device, where.fidelity, where.batch, where.providers) == ("", "", 0, {})
    assert where.notes == ("the data was not read: what ran looks at weights alone",)
    assert service.inspect(CHAIN.data, None, ["filters"]).provenance.notes == ()


def test_inputs_that_cannot_be_used_are_skipped_and_named() -> None:
    raws = [Raw(f"r{i}", tensors={"x": X[i] if i != 1 else X[i][:2]}) for i in range(3)]
    report = service.audit(CHAIN.data, raws)
    assert (report.provenance.inputs, report.skipped_count) == (2, 1)
    (skipped,) = report.skipped
    assert isinstance(skipped, Skipped)
    assert skipped.id == "r1"
    with pytest.raises(InputError, match="none of 1 input could be used; the first is "):
        service.audit(CHAIN.data, raws[1:2])


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"fidelity": "quick"}, ParameterError, "fast or exact"),
        ({"batch_size": -1}, ParameterError, "batch size"),
        ({"device": "tpu"}, ParameterError, "auto, cpu, cuda"),
        ({"analyses": ["sparsty"]}, NotFoundError, "Did you mean 'sparsity'"),
        ({"analyses": ["sparsity:nearr=1"]}, ParameterError, "Did you mean 'near'"),
        ({"analyses": ["sparsity:near=-1"]}, ParameterError, "'near' of 'sparsity'"),
        ({"data": X[:, :2]}, InputError, "another shape"),
        ({"data": X.astype(np.float64)}, InputError, "another element type"),
        ({"data": {"z": X}}, InputError, "not the model's inputs"),
        ({"data": "/nowhere/at/all"}, NotFoundError, "no such file or folder"),
        ({"model": b"nothing"}, ModelError, "not an ONNX file"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(options: dict[str, Any], error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        service.audit(**{"model": CHAIN.data, "data": X} | options)


def test_patterns_that_fit_nothing_are_failures_of_the_analysis_and_not_of_the_run() -> None:
    report = service.audit(CHAIN.data, X, ["sparsity:taps=nowhere", "sparsity:taps=c:norm", "sparsity"])
    missing, inapplicable, fine = report.results
    assert isinstance(missing.failure, Failure)
    assert isinstance(inapplicable.failure, Failure)
    assert (missing.failure.kind, inapplicable.failure.kind, fine.failure) == ("NOT_FOUND", "INAPPLICABLE", None)
    assert not report.ok
    assert service.audit(CHAIN.data, X, ["sparsity:taps=c:norm"]).ok  # nothing to say is no fault


@pytest.mark.parametrize("opset", range(7, NEWEST + 1))
def test_an_audit_runs_in_every_opset(opset: int) -> None:
    case = ZOO[f"opset_{opset}"]
    report = service.audit(case.data, case.inputs(2))
    assert report.result("sparsity").failure is None
    maps = service.activations(case.data, case.inputs(2))["c:act"]
    layers = report.result("sparsity").blocks[0]
    assert isinstance(layers, inspector.Table)
    zero = dict(zip((c.name for c in layers.columns), layers.rows[0], strict=True))["zero fraction"]
    assert zero == pytest.approx(float((maps == 0).mean()), abs=1e-12)
