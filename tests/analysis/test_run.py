"""One run: what it costs, what a failing analysis does to it, and how it is stopped."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import onnx
import pytest
from toys import Again, Peaks, Says, failing, installed

from inspector import Finding, Heatmap, Metric, MetricInfo, Note, Scale, ScaleKind, Severity, service
from inspector.contract.measures import TAPPED, Ops
from inspector.control import Progress, Stop
from inspector.errors import InputError, LimitError, PluginError, StoppedError
from inspector.faces.wire import report_to_json
from inspector.runtime import session as session_module
from inspector.runtime.data import Raw
from inspector.samples import SAMPLES

DIGITS = SAMPLES[0]
INPUTS = np.random.default_rng(0).uniform(0, 1, (5, 1, 16, 16)).astype(np.float32)


def said(report: service.Report, name: str) -> str:
    (block,) = report.result(name).blocks
    assert isinstance(block, Note)
    return block.text


class Counted:
    """Counts sessions and runs of onnxruntime."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sessions = self.runs = 0
        build, run = session_module._build, session_module.Session.run

        def counted_build(*args: Any) -> Any:
            self.sessions += 1
            return build(*args)

        def counted_run(session: Any, feeds: Any, **options: Any) -> Any:
            self.runs += 1
            return run(session, feeds, **options)

        monkeypatch.setattr(session_module, "_build", counted_build)
        monkeypatch.setattr(session_module.Session, "run", counted_run)


def test_any_number_of_analyses_costs_one_session_and_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    with installed(Peaks):
        analyses = ["sparsity", "peaks", "sparsity:near=0.1"]
        service.audit(DIGITS.model, INPUTS, analyses, batch_size=2, self_check=False)
        assert (counted.sessions, counted.runs) == (1, 3)
        service.audit(DIGITS.model, INPUTS, analyses, batch_size=2)
    more = "the self-check takes two sessions, of two runs and one, and two inputs of the first batch run alone"
    assert (counted.sessions, counted.runs) == (1 + 3, 3 + 8), more


class Loud(Says):
    """Publishes what it declares, and says so in another way when asked to."""

    name, metrics = "loud", (MetricInfo("volume", "how loud"),)

    def present(self, result: str) -> Any:
        return [
            Note(result),
            Metric(*{"hello": ("volume", 3), "each": ("volume", [1, 2])}.get(self.params.word, ("x", 1))),
        ]


def test_a_metric_is_published_as_it_is_declared_or_the_analysis_fails() -> None:
    with installed(Loud):
        fine, each, other = service.inspect(DIGITS.model, None, ["loud", "loud:word=each", "loud:word=other"]).results
    assert [(m.name, m.values.dtype, m.values.item()) for m in fine.metrics] == [("volume", np.int64, 3)]
    assert len(fine.blocks) == 1
    for result, name in ((each, "volume"), (other, "x")):
        assert result.metrics == ()
        assert result.failure is not None
        assert f"metric '{name}' of 'loud'" in result.failure.message


class Judging(Says):
    """Declares one rule and finds what it is told to."""

    name, rules = "judging", ("judging/hello",)

    def present(self, result: str) -> Any:
        return [Finding(f"judging/{self.params.word}", Severity.INFO, "So it is")]


def test_a_finding_has_a_rule_that_is_declared_where_rules_are() -> None:
    with installed(Judging):
        fine, other = service.inspect(DIGITS.model, None, ["judging", "judging:word=other"]).results
    assert [f.rule for f in fine.findings] == ["judging/hello"]
    assert other.findings == ()
    assert other.failure is not None
    assert "its rule is not declared" in other.failure.message


class Meant(Says):
    """A heat map whose values mean what it is told."""

    name, meanings = "meant", ()

    def present(self, result: str) -> Any:
        return [Heatmap("h", np.eye(2), Scale(ScaleKind.SEQUENTIAL, 0.0, 1.0), meanings=type(self).meanings)]


@pytest.mark.parametrize("wrong", [(("a", "x"),), ((1.0, None),), {1.0: "x"}, (1.0, "x"), ((1.0,),)], ids=repr)
def test_the_meanings_of_a_heat_map_are_numbers_with_texts_or_the_analysis_fails(
    monkeypatch: pytest.MonkeyPatch, wrong: Any
) -> None:
    for meanings, fails in ((((np.float32(1), "x"), (0, "y"), (np.nan, "z")), False), (wrong, True)):
        monkeypatch.setattr(Meant, "meanings", meanings)
        with installed(Meant):
            report = service.inspect(DIGITS.model, None, "meant")
        assert ("its `meanings` cannot be used" in str(report.result("meant").failure)) is fails
        assert report_to_json(report)


def test_metrics_are_single_numbers_or_vectors_of_numbers() -> None:
    assert Metric("a", np.float32(0.5)).values.dtype == np.float64  # type: ignore[arg-type]
    assert Metric("a", np.array([True, False])).values.tolist() == [1, 0]
    for wrong in (np.zeros((1, 1)), np.array(["x"]), np.array([1j])):
        with pytest.raises(PluginError, match="cannot be published"):
            Metric("a", wrong)


def test_weights_alone_cost_no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    report = service.inspect(DIGITS.model)
    assert [r.name for r in report.results] == ["filters", "connectivity"]
    assert (counted.sessions, counted.runs) == (0, 0)
    assert report.provenance.device == ""


def test_equal_measures_of_two_analyses_leave_the_graph_once() -> None:
    with installed(Peaks):
        view = service.load(DIGITS.model)
        alone = service.make_plan(view, ["sparsity"], allow_maps=False)
        both = service.make_plan(view, ["sparsity", "peaks"], allow_maps=False)
    assert both.requests == alone.requests


@pytest.mark.parametrize("step", ["select", "observe", "summarize", "finalize", "present"])
def test_an_analysis_that_raises_is_a_failure_and_the_others_finish(step: str) -> None:
    with installed(failing(step), Says):
        report = service.audit(DIGITS.model, INPUTS, ["failing", "says", "sparsity"])
    failure = report.result("failing").failure
    assert failure is not None
    assert failure.kind == "PLUGIN_FAILED"
    assert f"in {step}" in failure.message
    assert said(report, "says") == "hello digits"
    assert report.result("sparsity").failure is None
    assert not report.ok


def test_an_analysis_whose_rows_are_no_rows_fails_before_anything_runs() -> None:
    wide = type("Wide", (Peaks,), {"name": "wide", "observe": lambda self, op, x, tap: {"x": op.abs(x)}})
    with installed(wide):
        failure = service.audit(DIGITS.model, INPUTS, ["wide"]).result("wide").failure
    assert failure is not None
    assert "not small enough" in failure.message


def test_measures_refuse_what_makes_no_sense() -> None:
    op = Ops()
    with pytest.raises(PluginError, match="cannot be applied"):
        op.max(op.max(TAPPED))
    with pytest.raises(PluginError, match="finite"):
        op.greater(TAPPED, float("nan"))


def test_an_audit_refuses_whole_maps() -> None:
    failure = service.audit(DIGITS.model, INPUTS, ["activations"]).result("activations").failure
    assert failure is not None
    assert failure.kind == LimitError.reason


def test_an_exploring_analysis_runs_the_model_again_with_inputs_of_its_own() -> None:
    with installed(Again):
        report = service.inspect(DIGITS.model, INPUTS, ["again"])
    text = said(report, "again")
    assert text.startswith("5 inputs, ratio ")
    assert 1.0 < float(text.split()[-1]) < 2.5


def test_inputs_are_needed_by_what_measures() -> None:
    with pytest.raises(InputError, match=r"'sparsity'.*needs inputs"):
        service.inspect(DIGITS.model, None, ["sparsity"])


def test_looking_closely_takes_64_inputs_at_most() -> None:
    with pytest.raises(InputError, match="at most 64"):
        service.inspect(DIGITS.model, np.zeros((65, 1, 16, 16), np.float32))


def test_progress_ends_at_the_total() -> None:
    seen: list[Progress] = []
    service.audit(DIGITS.model, INPUTS, batch_size=2, watch=seen.append)
    assert [p.done for p in seen] == [2, 4, 5]
    assert {p.total for p in seen} == {5}


def test_a_stop_ends_the_run() -> None:
    stop = Stop()
    with pytest.raises(StoppedError):
        service.audit(DIGITS.model, INPUTS, batch_size=1, stop=stop, watch=lambda _: stop.set())


def test_a_stop_from_another_thread_ends_the_native_run() -> None:
    stop = Stop()
    threading.Timer(0.05, stop.set).start()
    many = np.zeros((400_000, 1, 16, 16), np.float32)
    with pytest.raises(StoppedError):
        service.audit(DIGITS.model, many, batch_size=1, stop=stop)


FREE = """<ir_version: 8, opset_import: ["" : 17]>
net (float[N, 1, H, W] x) => (float[N, 2, P, Q] y) <float[2, 1, 3, 3] w = {%s}>
{ c = Conv <pads = [1, 1, 1, 1]> (x, w)  y = Relu(c) }""".replace("%s", ", ".join(["0.5", "-0.5"] * 9))


def free_model() -> bytes:
    return onnx.parser.parse_model(FREE).SerializeToString()


def sized(seed: int, side: int) -> Raw:
    values = np.random.default_rng(seed).normal(size=(1, side, side)).astype(np.float32)
    return Raw(f"{seed}", tensors={"x": values})


def test_inputs_of_different_sizes_are_counted_together() -> None:
    inputs = [sized(seed, side) for seed, side in enumerate((8, 8, 5, 8))]
    report = service.audit(free_model(), inputs, batch_size=4)
    maps = [service.activations(free_model(), [one])["c:act"] for one in inputs]
    table = report.result("sparsity").blocks[0]
    elements = sum(m.size for m in maps)
    assert report.provenance.inputs == 4
    by_channel = [sum((m[:, c] == 0).sum() for m in maps) / (elements / 2) for c in range(2)]
    assert table.rows[0][4] == pytest.approx(np.mean(by_channel), abs=1e-12)
    assert min(by_channel) > 0


def test_maps_of_inputs_of_different_sizes_cannot_be_one_array() -> None:
    with pytest.raises(InputError, match="different sizes"):
        service.activations(free_model(), [sized(0, 8), sized(1, 5)])


JOINED = """<ir_version: 8, opset_import: ["" : 17]>
net (float[%n, 1, 6, 6] x) => (float[M, 2, 4, 4] y) <float[2, 1, 3, 3] w = {%s}>
{ n = Neg(x)  b = Concat <axis = 0> (x, n)  c = Conv(b, w)  y = Relu(c) }""".replace(
    "%s", ", ".join(["0.5", "-0.5"] * 9)
)


@pytest.mark.parametrize("batch", ["1", "N"])
@pytest.mark.parametrize("size", [1, 2])
def test_values_that_cannot_be_told_apart_by_input_are_a_failure_and_never_a_number(batch: str, size: int) -> None:
    model = onnx.parser.parse_model(JOINED.replace("%n", batch)).SerializeToString()
    inputs = np.random.default_rng(0).normal(size=(3, 1, 6, 6)).astype(np.float32)
    failure = service.audit(model, inputs, batch_size=size).result("sparsity").failure
    assert failure is not None
    assert "changes the batch axis" in failure.message
    assert service.activations(model, inputs)["c:act"].shape == (6, 2, 4, 4)
