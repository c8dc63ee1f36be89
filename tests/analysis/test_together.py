"""Finding out which inputs may share a run: once where that is enough, again where not, and what is said of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from models import SAME, ZOO, W, model
from toys import Again, installed

from inspector import BatchInfo, Report, service
from inspector.analysis.how import How
from inspector.analysis.observe import Observer
from inspector.contract.measures import TAPPED, Ops
from inspector.control import Stop
from inspector.errors import InputError
from inspector.graph.instrument import Request
from inspector.graph.load import load
from inspector.runtime import session as session_module
from inspector.runtime.data import Batch, Raw

X = np.random.default_rng(0).normal(size=(8, 3, 6, 5)).astype(np.float32)
TAIL = f"[c] a = Conv {SAME} (s, w) y = Relu(a)"
PLAIN, FILLED = "s = Identity(x)", "runs are filled up with copies of the last input"


def net(body: str, inputs: str, **weights: Any) -> bytes:
    return model(f"{body} {TAIL}", inputs=inputs, weights={"w": W, **weights})


def of_sides(*sides: int) -> list[Raw]:
    rng = np.random.default_rng(1)
    return [Raw(str(i), tensors={"x": rng.normal(size=(3, s, s)).astype(np.float32)}) for i, s in enumerate(sides)]


def notes(report: Report) -> str:
    return "\n".join(report.provenance.notes)


class Counts:
    """Sessions made and runs of them."""

    def __init__(self) -> None:
        self.sessions = self.runs = 0


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    counted = Counts()
    build, run = session_module._build, session_module.Session.run

    def builds(*args: Any) -> Any:
        counted.sessions += 1
        return build(*args)

    def runs(*args: Any, **options: Any) -> Any:
        counted.runs += 1
        return run(*args, **options)

    monkeypatch.setattr(session_module, "_build", builds)
    monkeypatch.setattr(session_module.Session, "run", runs)
    return counted


def audit(data: bytes, x: Any, **options: Any) -> Report:
    report = service.audit(data, x, ["sparsity"], fidelity="exact", **options)
    assert report.result("sparsity").failure is None
    return report


ONE_PICTURE = {
    "decided by data": """u = Unsqueeze (x, front) m = ReduceMax <keepdims=0> (x) f = Cast <to=9> (m) s = If (f) <
        then_branch = one () => (float[1,3,6,5] p) { p = Neg (u) },
        else_branch = two () => (float[1,3,6,5] q) { q = Abs (u) }>""",
    "read backwards": "r = Gather (x, back) s = Unsqueeze (r, front)",
}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", ONE_PICTURE)
def test_what_may_be_one_picture_without_a_batch_axis_is_not_fed_channel_by_channel(name: str, count: int) -> None:
    """Three channels look like three inputs then; one of them in three copies gave one map, as if it were its own."""
    view = load(net(ONE_PICTURE[name], "float[3,6,5] x", front=np.array([0]), back=np.array([2, 1, 0])))
    for way in (service.audit, service.inspect, service.activations):
        with pytest.raises(InputError, match=r"the first axis of what it takes is no batch .*'x' \(3, 6, 5\)"):
            way(view, X[0][:count])
    assert all(result.failure is None for result in service.inspect(view).results)


def test_one_picture_without_a_batch_axis_runs_alone_and_nothing_is_tried(counts: Counts) -> None:
    report = audit(net("s = Unsqueeze (x, front)", "float[3,6,5] x", front=np.array([0])), X, batch_size=4)
    assert report.provenance.inputs == 8
    assert notes(report) == "the model's file has no batch axis for 'x'; every input ran alone"
    assert counts.sessions == 2 + 1, "to check, and to run"
    assert counts.runs == 3 + 8


def test_the_freed_form_is_compared_once_however_often_the_size_changes(counts: Counts) -> None:
    report = audit(net(PLAIN, "float[1,3,H,W] x"), of_sides(5, 5, 6, 6, 5, 5), batch_size=2)
    assert "made free" in notes(report)
    assert counts.sessions == 2 + 2 + 1, "to compare, to check, and one for all sizes"


def test_the_rows_of_the_batch_that_was_looked_at_are_not_computed_again(counts: Counts) -> None:
    audit(net(PLAIN, "float[N,3,6,5] x"), X, batch_size=4)
    assert counts.runs == 3 + 2 + 3, "to check, for two batches, and for three inputs alone"


def test_where_inputs_run_one_by_one_a_fixed_batch_is_looked_at_once(counts: Counts) -> None:
    report = audit(net(PLAIN, "float[3,3,H,W] x"), of_sides(5, 6, 5), batch_size=1)
    assert FILLED in notes(report)
    assert counts.runs == 3 + 3 + 1, "to check, for three inputs, and for one alone"


def test_a_batch_that_is_brought_together_but_runs_one_by_one_needs_no_look(counts: Counts) -> None:
    """A fixed batch is brought whole, though the freed model fits for one input only."""
    data, x = ZOO["batch_4"].data, ZOO["batch_4"].inputs(12)
    memory = audit(data, x, batch_size=2).provenance.memory
    assert memory is not None
    counts.sessions = 0
    report = audit(data, x, batch_size=4, memory=memory.estimate - 1)
    assert report.provenance.batch == 1
    assert "made free" in notes(report)
    assert counts.sessions == 2 + 2 + 1, "to compare, to check, to run"


def test_the_first_batch_of_several_is_looked_at_though_one_input_with_copies_was() -> None:
    """Copies of one input have its mean."""
    flat = np.array([-1])
    data = net("v = Reshape(x, flat) p = ReduceMean <keepdims=0> (v) s = Sub(x, p)", "float[3,3,6,5] x", flat=flat)
    how = How(device="cpu", fidelity="exact", stop=Stop(), batch_size=4)
    observer = Observer(load(data), [Request("y", Ops().max(TAPPED))], how)
    batches = [Batch({"x": X[a:b]}, BatchInfo(tuple("abcdefgh"[a:b]), a)) for a, b in ((0, 1), (1, 5), (5, 8))]
    rows = np.concatenate([next(iter(found.values())) for found, _ in observer(batches)])
    centred = X - X.mean((1, 2, 3), keepdims=True)
    plain = service.activations(net(PLAIN, "float[N,3,6,5] x"), centred)["c:act"].max((2, 3))
    np.testing.assert_allclose(rows, plain, rtol=1e-4)
    first, second = observer.notes
    assert first.endswith("gives other outputs without that; it ran as it is")
    assert second.endswith("so every input ran alone")


def test_a_model_whose_outputs_do_not_show_that_it_is_random_is_called_so_where_its_rows_do() -> None:
    body = f"q = RandomNormalLike(x) s = Add(x, q) [c] a = Conv {SAME} (s, w) r = Relu(a) y = Identity(x)"
    report = audit(model(body, inputs="float[N,3,6,5] x", weights={"w": W}), X, batch_size=4)
    assert report.provenance.batch == 4
    assert "warning: one input gives other numbers every time it runs" in notes(report)


@pytest.mark.parametrize("batch", [1, 2, 3, 4])
def test_a_batch_that_is_multiplied_inside_runs_as_it_is_whatever_its_size(batch: int) -> None:
    """Four frames of every input become pictures of their own, by a shape that names how many that is."""
    data = model(
        f"s = Reshape(x, frames) {TAIL.replace('(s, w)', '(s, one)')}",
        inputs=f"float[{batch},4,6,5] x",
        weights={"frames": np.array([4 * batch, 1, 6, 5]), "one": W[:, :1]},
    )
    x = np.random.default_rng(0).normal(size=(5, 4, 6, 5)).astype(np.float32)
    report = service.audit(data, x, ["sparsity"], device="cpu")
    assert "it ran as it is" in notes(report)
    assert report.provenance.inputs == 5


def test_nothing_is_said_of_how_runs_are_filled_where_none_was() -> None:
    """An audit that only explores: its own inputs do not run, those of the analysis share runs of the freed model."""
    with installed(Again):
        report = service.audit(ZOO["batch_4"].data, ZOO["batch_4"].inputs(8), ["again"], batch_size=4)
    assert "made free" in notes(report)
    assert FILLED not in notes(report)


@pytest.mark.parametrize(("name", "alone"), [("chain", True), ("float16_7", False)])
def test_how_far_runs_of_several_sizes_may_be_apart_goes_by_the_element_type(
    name: str, alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = session_module.Session.run

    def rounded(self: Any, feeds: Any, **options: Any) -> Any:
        off = 1.002 if len(next(iter(feeds.values()))) > 1 else 1
        return [r * r.dtype.type(off) if r.dtype.kind == "f" else r for r in run(self, feeds, **options)]

    monkeypatch.setattr(session_module.Session, "run", rounded)
    report = service.audit(ZOO[name].data, ZOO[name].inputs(6), ["sparsity"], device="cpu", batch_size=3)
    assert ("every input ran alone" in notes(report)) is alone
