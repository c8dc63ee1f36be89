"""Plans: what is asked of a graph, and what a plugin that asks for nonsense does to the others."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from models import ZOO
from pydantic import BaseModel
from toys import Peaks, Says, failing, installed

from inspector import Ops, Value, service
from inspector.analysis import groups
from inspector.analysis.identity import Identity
from inspector.analysis.plan import MAX_ANALYSES, Plan, make_plan
from inspector.analysis.registry import MAX_TEXT, AnalysisRequest, plugins
from inspector.contract.measures import TAPPED
from inspector.control import Stop
from inspector.errors import LimitError, NotFoundError, ParameterError, PluginError, StoppedError
from inspector.graph.instrument import Request

VIEW = service.load(ZOO["residual"].data)
INPUTS = ZOO["residual"].inputs(3)
ROWS = ("elements", "peak", "low", "mean", "above")
"""Of the sparsity analysis, at a rectifier."""


def changed(**members: Any) -> type:
    """The toy that takes peaks, done differently."""
    return type("Odd", (Peaks,), {"name": "odd", **members})


def failure(kind: type) -> str:
    """Why it failed, after the other analysis of the same run finished."""
    with installed(kind):
        report = service.audit(VIEW, INPUTS, ["odd", "sparsity"])
    assert report.result("sparsity").failure is None
    failed = report.result("odd").failure
    assert failed is not None
    return f"{failed.kind}: {failed.message}"


def test_taps_that_share_a_tensor_share_the_requests() -> None:
    plan = make_plan(VIEW, ["sparsity"], allow_maps=False)
    assert [w.tap.name for w in plan.entries[0].watches] == ["c:act", "d:act"]
    assert len(plan.requests) == len(ROWS)
    assert {r.tensor for r in plan.requests} == {"y"}


def test_an_analysis_that_is_asked_for_twice_answers_twice_from_the_same_rows() -> None:
    once, twice = (make_plan(VIEW, names, allow_maps=False) for names in (["sparsity"], ["sparsity", "sparsity"]))
    assert once.requests == twice.requests
    first, second = service.audit(VIEW, INPUTS, ["sparsity", "sparsity"]).results
    assert first.blocks[0] == second.blocks[0]


def test_other_thresholds_are_other_requests_and_other_kinds_other_tensors() -> None:
    view = service.load(ZOO["concat"].data)  # linear, so that near zero is counted
    near = [make_plan(view, [f"sparsity:near={n}"], allow_maps=False).requests for n in (0.1, 0.2)]
    assert len(set(near[0]) & set(near[1])) == len(near[0]) - 2  # one count for each of two layers
    conv = make_plan(VIEW, ["sparsity:kind=conv"], allow_maps=False)
    assert {r.tensor for r in conv.requests} == {"a", "e"}


def test_a_request_may_be_given_as_text_or_as_a_value() -> None:
    texts = make_plan(VIEW, ["sparsity:near=0.5,taps=c"], allow_maps=False)
    values = make_plan(VIEW, [AnalysisRequest("sparsity", {"near": 0.5, "taps": ["c"]})], allow_maps=False)
    assert (texts.requests, identity(texts)) == (values.requests, identity(values))


def identity(plan: Plan) -> Identity:
    return Identity.of(VIEW, plan, fidelity="fast", preprocess="", shard_size=4096)


@pytest.mark.parametrize(
    "other",
    [
        lambda: make_plan(VIEW, ["sparsity:near=0.5"], allow_maps=True),
        lambda: make_plan(VIEW, ["sparsity:taps=c"], allow_maps=True),
        lambda: make_plan(VIEW, ["sparsity", "sparsity"], allow_maps=True),
        lambda: make_plan(VIEW, ["activations"], allow_maps=True),
    ],
)
def test_the_identity_tells_plans_apart(other: Callable[[], Any]) -> None:
    assert identity(other()) != identity(make_plan(VIEW, ["sparsity"], allow_maps=True))


def test_the_identity_knows_the_version_of_an_analysis() -> None:
    found = set()
    for version in ("1", "2"):
        with installed(changed(version=version)):
            found.add(identity(make_plan(VIEW, ["odd"], allow_maps=False)))
    assert len(found) == 2


def test_a_tap_that_is_chosen_twice_is_counted_once() -> None:
    with installed(changed(select=lambda _, model: [*model.taps(), *model.taps()])):
        (entry,) = make_plan(VIEW, ["odd"], allow_maps=False).entries
    assert [w.tap.name for w in entry.watches] == ["c:act", "d:act"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tensor": "elsewhere"}, "PLUGIN_FAILED: tap 'c:act': it is none of this model's"),
        ({"channels": 99}, "PLUGIN_FAILED: tap 'c:act': it is none of this model's"),
        ({"layer": "nowhere"}, "NOT_FOUND: layer 'nowhere'"),
    ],
)
def test_a_tap_that_the_model_does_not_have_is_a_failure_of_that_analysis(change: dict[str, Any], says: str) -> None:
    assert failure(changed(select=lambda _, model: [replace(model.taps()[0], **change)])).startswith(says)


@pytest.mark.parametrize(
    ("observe", "says"),
    [
        (lambda op, x: {"m": Value("median", "rows", (x,))}, "made of an unknown operator"),
        (lambda op, x: {"m": Value("max", "rows", (Value("sort", "maps", (x,)),))}, "made of an unknown operator"),
        (lambda op, x: {"m": op.abs(x)}, "not small enough to leave the graph"),
        (lambda op, x: {"m": op.keep(x)}, "keeps whole maps, which an audit of many inputs refuses"),
        (lambda op, x: {"m": op.max(op.max(x))}, "cannot be applied"),
        (lambda op, x: {"m": 3}, "raised an exception"),
        (lambda op, x: None, "raised an exception"),
    ],
)
def test_rows_that_cannot_be_made_are_a_failure_of_that_analysis(
    observe: Callable[[Ops, Value], Any], says: str
) -> None:
    assert says in failure(changed(observe=lambda _, op, x, tap: observe(op, x)))


def test_an_analysis_that_would_end_the_process_is_a_failure_of_that_analysis() -> None:
    def leave(*_: object) -> None:
        raise SystemExit(1)

    for step in ("select", "observe", "summarize", "finalize", "present"):
        assert "SystemExit" in failure(changed(**{step: leave}))


def test_an_analysis_that_fails_in_the_middle_gives_no_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MOST_INPUTS", 2)

    def late(self: Any, tap: Any, rows: Any, batch: Any) -> Any:
        if batch.first:
            raise ValueError("enough")
        return self.summary(rows["peak"].max(0))

    with installed(changed(summarize=late)):
        report = service.audit(VIEW, INPUTS, ["odd"], batch_size=2)
    result = report.result("odd")
    assert (result.blocks, result.findings) == ((), ())
    assert "enough" in (result.failure.message if result.failure else "")


def test_an_analysis_that_cannot_be_made_is_an_error_of_the_request() -> None:
    def refuse(error: Exception) -> type:
        def init(self: Any, params: Any) -> None:
            raise error

        return changed(__init__=init)

    with installed(refuse(KeyError("x"))), pytest.raises(PluginError, match=r"'odd': it cannot be made.*KeyError"):
        make_plan(VIEW, ["odd"], allow_maps=False)
    with (
        installed(refuse(ParameterError("level", "it is odd"))),
        pytest.raises(ParameterError, match="level: it is odd"),
    ):
        make_plan(VIEW, ["odd"], allow_maps=False)


def test_parameters_that_cannot_be_described_break_the_contract_and_nothing_else() -> None:
    class Opaque(BaseModel, arbitrary_types_allowed=True):
        value: np.ndarray = np.zeros(1)

    with installed(changed(Params=Opaque)):
        infos = {p.name: p.failure for p in plugins()}
    assert "no JSON Schema" in infos["odd"]
    assert infos["sparsity"] == ""


def test_what_needs_inputs_is_known_beforehand() -> None:
    with installed(Says, Peaks, failing("select")):
        plan = make_plan(VIEW, ["says", "peaks", "filters", "failing"], allow_maps=False)
    assert plan.needs_inputs == ("peaks",)


def test_an_unknown_analysis_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="Did you mean 'sparsity'"):
        make_plan(VIEW, ["sparsty"], allow_maps=False)


def test_more_analyses_than_a_run_may_have_are_refused_whoever_asks() -> None:
    assert len(make_plan(VIEW, ["filters"] * MAX_ANALYSES, allow_maps=False).entries) == MAX_ANALYSES
    for run in (service.inspect, service.audit):
        with pytest.raises(LimitError, match=r"at most 64, found 65\. Run them in several\."):
            run(VIEW, INPUTS, ["filters"] * (MAX_ANALYSES + 1))


def test_the_text_of_an_analysis_is_limited_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    longest = "sparsity:taps=".ljust(MAX_TEXT, "c")
    monkeypatch.setattr(difflib, "get_close_matches", None)  # to look for the nearest of 10 MB takes seconds
    for text in ("x" * 10_000_000, longest + " "):
        with pytest.raises(LimitError, match=rf"at most {MAX_TEXT} characters, found {len(text)}") as caught:
            make_plan(VIEW, [text], allow_maps=False)
        assert len(str(caught.value)) < 300
    (entry,) = make_plan(VIEW, [longest], allow_maps=False).entries
    assert entry.failure is not None  # it was read, and there is no such tap
    with pytest.raises(NotFoundError, match="xxx…': there is none of that name") as missing:
        make_plan(VIEW, [AnalysisRequest("x" * 10_000_000)], allow_maps=False)
    assert len(str(missing.value)) < 1000


@pytest.mark.parametrize("step", ["select", "summarize", "finalize", "present"])
def test_a_stop_ends_a_run_before_the_next_step_of_its_analyses(step: str) -> None:
    """Here the first of the analyses asks for it, in one of its steps; nothing later runs."""
    stop, called = Stop(), []

    def stopping(name: str) -> Any:
        def run(self: Any, *arguments: Any) -> Any:
            called.append(name)
            if name == step:
                stop.set()
            return getattr(Peaks, name)(self, *arguments)

        return run

    order = ("select", "summarize", "finalize", "present")
    with installed(changed(**{name: stopping(name) for name in order})), pytest.raises(StoppedError):
        service.audit(VIEW, INPUTS, ["odd", "odd"], self_check=False, stop=stop)
    assert step == "summarize" or called.count(step) == 1  # sums of a batch that ran are finished
    assert not set(called) & set(order[order.index(step) + 1 :])


def test_requests_are_values() -> None:
    op = Ops()
    assert Request("y", op.count(op.greater(TAPPED, 0))) == Request("y", op.count(op.greater(TAPPED, -0.0)))
    assert Request("y", op.max(TAPPED)) != Request("z", op.max(TAPPED))
