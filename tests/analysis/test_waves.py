"""Runs that are made to fit: the same report from smaller batches and from waves of taps, or an error at once."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
import pytest
from models import SAME, ZOO, Case, model, numbers

from inspector import Report, service
from inspector.analysis import waves as waves_module
from inspector.analysis.fitting import AT_ONCE
from inspector.analysis.plan import make_plan
from inspector.analysis.waves import CHOICES, ENOUGH, UNSURE, Sizes, chosen, plan_waves
from inspector.errors import LimitError, ParameterError
from inspector.graph.instrument import instrument
from inspector.runtime import data as data_module
from inspector.runtime import session as session_module
from inspector.runtime.data import Raw


def waiting(data: bytes) -> bytes:
    """The model with a batch that nobody names, so that rows leave it one by one and all maps wait for the last."""
    proto = onnx.load_from_string(data)
    proto.graph.input[0].type.tensor_type.shape.dim[0].Clear()
    return proto.SerializeToString()


DEPTH = 8
CHAIN = model(
    " ".join(f"[c{i}] a{i} = Conv {SAME} (v{i}, w) v{i + 1} = Relu(a{i})" for i in range(DEPTH))
    + f" y = GlobalMaxPool(v{DEPTH})",
    inputs="float[N,4,12,12] v0",
    weights={"w": numbers(4, 4, 3, 3)},
)
DEEP = waiting(CHAIN)
X = np.random.default_rng(0).normal(size=(5, 4, 12, 12)).astype(np.float32)
MAP = 4 * 12 * 12 * 4
"""Bytes of one map of one input."""


def said(report: Report) -> list[Any]:
    """Everything but the provenance."""
    return [(r.name, r.params, repr(r.blocks), r.findings, r.failure) for r in report.results]


def audit(memory: int | None = None, *, self_check: bool = False, **options: Any) -> Report:
    report = service.audit(DEEP, X, ["sparsity"], memory=memory, fidelity="exact", self_check=self_check, **options)
    assert report.result("sparsity").failure is None
    return report


def memory_of(report: Report) -> tuple[int, int, int]:
    memory = report.provenance.memory
    assert memory is not None
    return memory.estimate, memory.budget, memory.waves


def needed(batch: int) -> int:
    """The estimate for all taps at once."""
    return memory_of(audit(batch_size=batch))[0]


def test_the_batch_is_made_smaller_first_and_the_report_says_so() -> None:
    whole, smaller = audit(batch_size=5), audit(needed(2), batch_size=5)
    assert (whole.provenance.batch, smaller.provenance.batch) == (5, 2)
    assert memory_of(smaller) == (needed(2), needed(2), 1)
    assert "batches of 2 and not 5, so that a run fits into the memory" in smaller.provenance.notes
    assert said(smaller) == said(whole)


def test_what_is_read_ahead_fits_into_the_memory_whatever_batch_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a net whose inputs are larger than its maps, so that they bound the batch; and nothing larger is read."""
    data = model(f"p = GlobalMaxPool(x) [c] a = Conv {SAME} (p, w) y = Relu(a)", inputs="float[N,4,64,64] x",
                 weights={"w": numbers(4, 4, 3, 3)})  # fmt: skip
    one, memory, made = 4 * 64 * 64 * 4, 100 << 20, []
    monkeypatch.setattr(
        data_module, "_room", lambda size, like: made.append(size) or np.empty((size, *like.shape), "f")
    )
    report = service.audit(data, "noise:3", memory=memory, batch_size=60_000, self_check=False)
    batch = memory // (AT_ONCE * one)
    assert report.provenance.batch == batch
    assert f"batches of {batch} and not 60000, so that a run fits into the memory" in report.provenance.notes
    assert made == [batch]
    with pytest.raises(ParameterError, match="at most 65536, found 65537"):
        service.audit(data, "noise:3", batch_size=65_537)


@pytest.mark.parametrize("share", [0.9, 0.6])
def test_waves_of_taps_give_the_report_of_one_wave(share: float) -> None:
    budget = int(needed(1) * share)
    whole, waves = audit(batch_size=1), audit(budget, batch_size=4)
    estimate, allowed, count = memory_of(waves)
    assert estimate <= allowed == budget
    assert count > 1
    assert waves.provenance.batch == 1
    assert f"the taps were watched in {count} waves, so that each fits" in waves.provenance.notes
    assert said(waves) == said(whole)


def test_rows_that_leave_together_need_no_waves_where_all_maps_at_once_would() -> None:
    report = service.audit(CHAIN, X, ["sparsity"], memory=int(needed(1) * 0.6), batch_size=1, fidelity="exact")
    assert memory_of(report)[2] == 1
    assert said(report) == said(audit(batch_size=1))


def test_every_wave_is_checked_and_its_operators_counted() -> None:
    provenance = audit(needed(1) - 1, self_check=True).provenance
    assert provenance.memory is not None
    assert provenance.check is not None
    assert provenance.check.equal
    (convolutions,) = (o for o in provenance.operators if o.op == "Conv")
    assert (convolutions.plain, convolutions.watched) == (DEPTH, provenance.memory.waves * DEPTH)


@pytest.mark.parametrize("wrong", [0, -1], ids=["first", "last"])
def test_one_wave_that_changes_the_outputs_is_called_out(monkeypatch: pytest.MonkeyPatch, wrong: int) -> None:
    budget = needed(1) - 1
    count = memory_of(audit(budget))[2]
    assert count > 1
    run, watched = session_module.Session.run, []

    def doctored(self: Any, feeds: Any, **options: Any) -> Any:
        results = list(run(self, feeds, **options))
        if "y" in self.outputs and len(self.outputs) > 1:  # only the check keeps the model's own output
            watched.append(self)
            if len(watched) == 1 + wrong % count:
                results[self.outputs.index("y")] = results[self.outputs.index("y")] * np.float32(1.01)
        return results

    monkeypatch.setattr(session_module.Session, "run", doctored)
    check = audit(budget, self_check=True).provenance.check
    assert len(watched) == count
    assert check is not None
    assert (check.equal, check.passed) == (False, False)
    assert check.max_rel == pytest.approx(0.01, rel=0.01)
    assert check.max_abs > 0


def test_sessions_of_waves_are_made_once_where_their_weights_fit_and_again_where_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built: list[int] = []
    build = session_module._build
    monkeypatch.setattr(session_module, "_build", lambda *args: built.append(1) or build(*args))

    def sessions(data: bytes, memory: int, inputs: np.ndarray = X) -> tuple[int, int, int]:
        built.clear()
        report = service.audit(data, inputs, ["sparsity"], memory=memory, batch_size=1, self_check=False)
        return len(built), memory_of(report)[2], sum(report.provenance.providers.values())

    made, waves, _ = sessions(DEEP, int(needed(1) * 0.6))
    assert (made, waves > 1) == (waves, True)
    heavy = model(
        " ".join(f"[c{i}] a{i} = Conv <pads=[8,8,8,8]> (v{i}, w{i}) v{i + 1} = Relu(a{i})" for i in range(DEPTH))
        + f" y = GlobalMaxPool(v{DEPTH})",
        inputs="float[N,4,12,12] v0",
        weights={f"w{i}": numbers(4, 4, 17, 17) for i in range(DEPTH)},
    )
    whole = memory_of(service.audit(waiting(heavy), X, ["sparsity"], batch_size=1))[0]
    made, waves, nodes = sessions(waiting(heavy), whole - 1)
    assert waves > 1
    assert made == waves * len(X)
    assert nodes == sessions(waiting(heavy), whole - 1, X[:1])[2]  # each counts once, however often it was made


def test_a_budget_below_one_tap_is_an_error_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "_build", lambda *_: pytest.fail("a session was made"))
    found = (
        rf"tap 'c0:act'.* at 1 input a run; expected at most {MAP} bytes, found an estimate of \d+.*the run more memory"
    )
    with pytest.raises(LimitError, match=found):
        audit(MAP)


@pytest.mark.parametrize("memory", [0, -1])
def test_a_budget_of_nothing_is_refused(memory: int) -> None:
    with pytest.raises(ParameterError, match="at least 1 byte"):
        audit(memory)


def test_activations_come_in_waves_too(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = service.activations(DEEP, X[:1])
    built: list[int] = []
    build = session_module._build
    monkeypatch.setattr(session_module, "_build", lambda *args: built.append(1) or build(*args))
    waves = service.activations(DEEP, X[:1], memory=DEPTH * MAP + MAP)
    assert len(built) > 1
    assert list(waves) == list(whole)
    for name, maps in whole.items():
        np.testing.assert_array_equal(waves[name], maps)


@pytest.mark.parametrize("name", ["batch_4", "batch_1_mixed"])
def test_a_model_that_fixes_its_batch_runs_in_that_and_says_no_other(name: str) -> None:
    case: Case = ZOO[name]
    report = service.audit(case.data, case.inputs(3), batch_size=1)
    assert memory_of(report)[2] == 1
    assert not any("so that a run fits" in note for note in report.provenance.notes)


@pytest.fixture
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waves_module, "cores", lambda: 1)


def test_every_core_may_have_the_same_share_of_values(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = instrument(service.load(DEEP), (), keep_outputs=True)
    for count in (1, 3, 64):
        monkeypatch.setattr(waves_module, "cores", lambda count=count: count)
        assert chosen(whole, "cpu").enough == count * ENOUGH["cpu"]
        assert chosen(whole, "cuda").enough == ENOUGH["cuda"]


def chosen_notes(report: Report) -> list[str]:
    return [note for note in report.provenance.notes if "chosen" in note]


def test_the_batch_that_is_chosen_is_the_largest_that_fits_and_is_not_more_than_enough(
    monkeypatch: pytest.MonkeyPatch, one_core: None
) -> None:
    """Against a search through all choices; a single input may take more than enough, never more than the budget."""
    view = service.load(DEEP)
    plan = make_plan(view, ["sparsity"], allow_maps=False)
    whole = instrument(view, plan.requests, shapes={"v0": (4, 12, 12)})
    weights, taps = whole.footprint.part(whole.names).weight, [layer.tap() for layer in view.layers]
    cost = {size: whole.footprint.part(whole.names).peak(size) for size in (*CHOICES, 128)}
    monkeypatch.setitem(ENOUGH, "cuda", 0)
    for budget, enough in itertools.product((cost[1], cost[5 - 1], cost[8] + 1, cost[64], cost[128]), repeat=2):
        monkeypatch.setitem(ENOUGH, "cpu", enough - weights)
        waves = plan_waves(whole, taps, chosen(whole, "cpu"), budget)
        assert waves.batch == max(size for size in CHOICES if cost[size] <= min(budget, enough))
        assert waves.estimate == cost[waves.batch]
        assert plan_waves(whole, taps, chosen(whole, "cuda"), budget).batch == 1
        more = cost.get(2 * waves.batch, 0) if waves.batch < CHOICES[-1] else 0
        reason = "would not fit" if more > budget else "gain nothing" if more else "no larger ones ever are"
        assert reason in waves.why


def test_a_report_says_which_batch_was_chosen_and_why(monkeypatch: pytest.MonkeyPatch, one_core: None) -> None:
    asked = {size: audit(batch_size=size) for size in (4, 64)}
    assert not any(map(chosen_notes, asked.values()))
    found = audit()
    assert (found.provenance.batch, chosen_notes(found)) == (
        64,
        ["batches of up to 64 were chosen: no larger ones ever are"],
    )
    assert said(found) == said(asked[64])
    found = audit(needed(8) - 1)
    assert found.provenance.batch == 4
    assert chosen_notes(found) == ["batches of up to 4 were chosen: more would not fit into the memory"]
    assert said(found) == said(asked[4])
    monkeypatch.setitem(ENOUGH, "cpu", 1 << 20)
    found = audit()
    assert found.provenance.batch == max(size for size in CHOICES if needed(size) <= (1 << 20) + 4 * 4 * 9 * 4)
    why = "more would take over 1 MiB beside the weights, and gain nothing"
    assert chosen_notes(found) == [f"batches of up to {found.provenance.batch} were chosen: {why}"]


def test_where_an_estimate_leaves_something_out_no_large_batch_is_chosen() -> None:
    """What NonZero gives is as long as its input has values that are not zero."""
    data = model(
        f"[c] a = Conv {SAME} (x, w) r = Relu(a) n = NonZero(r) f = Cast <to=1> (n) s = ReduceSum <keepdims=0> (f) "
        f"t = Mul(s, zero) u = Add(r, t) [d] b = Conv {SAME} (u, w) y = Relu(b)",
        inputs="float[N,4,12,12] x",
        weights={"w": numbers(4, 4, 3, 3), "zero": np.zeros((), np.float32)},
    )
    report = service.audit(data, X, ["sparsity"])
    assert report.provenance.batch == UNSURE
    assert chosen_notes(report) == [
        "batches of up to 16 were chosen: no larger ones ever are where not all sizes are known"
    ]


@pytest.mark.parametrize(("name", "batch"), [("batch_4", 64), ("batch_1_mixed", 1)])
def test_a_batch_is_chosen_where_a_fixed_one_can_be_freed(name: str, batch: int) -> None:
    case: Case = ZOO[name]
    report = service.audit(case.data, case.inputs(6), fidelity="exact")
    assert report.provenance.batch == batch
    assert bool(chosen_notes(report)) == (batch > 1)
    assert said(report) == said(service.audit(case.data, case.inputs(6), fidelity="exact", batch_size=3))


def test_a_batch_is_chosen_for_every_size_of_inputs(monkeypatch: pytest.MonkeyPatch, one_core: None) -> None:
    data = model(
        f"[c] a = Conv {SAME} (x, w) y = Relu(a)", inputs="float[N,4,H,W] x", weights={"w": numbers(4, 4, 3, 3)}
    )
    small, large = np.ones((20, 4, 6, 6), np.float32), np.ones((5, 4, 16, 16), np.float32)
    enough = memory_of(service.audit(data, small, ["sparsity"], batch_size=8))[0]
    monkeypatch.setitem(ENOUGH, "cpu", enough)  # a large input takes as much as seven small ones
    sizes: list[int] = []
    run = session_module.Session.run

    def counted(self: Any, feeds: Any, **options: Any) -> Any:
        sizes.append(len(feeds["x"]))
        return run(self, feeds, **options)

    monkeypatch.setattr(session_module.Session, "run", counted)
    inputs = [Raw(str(i), tensors={"x": x}) for i, x in enumerate([*small, *large, *small[:3]])]
    report = service.audit(data, inputs, ["sparsity"], self_check=False)
    assert report.provenance.inputs == 28
    assert sizes == [8, 8, 4, 1, 1, 1, 1, 1, 3]


def test_of_inputs_of_several_sizes_the_most_memory_and_waves_are_reported() -> None:
    data = onnx.load_from_string(DEEP)
    for axis in (2, 3):
        data.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = "HW"[axis - 2]
    inputs = [Raw(str(side), tensors={"v0": np.ones((4, side, side), np.float32)}) for side in (16, 4)]

    def told(chosen: list[Raw], memory: int | None = None) -> tuple[int, int, int]:
        options: dict[str, Any] = {"memory": memory, "batch_size": 1, "self_check": False}
        return memory_of(service.audit(data.SerializeToString(), chosen, ["sparsity"], **options))

    budget = told(inputs[:1])[0] - 1
    alone = told(inputs[:1], budget)
    assert alone[2] > told(inputs[1:], budget)[2]
    assert told(inputs, budget) == told(inputs[::-1], budget) == alone


def test_waves_are_in_layer_order_each_fits_and_the_next_tap_would_not() -> None:
    """Against a search through all batches and all consecutive parts."""
    view = service.load(DEEP)
    plan = make_plan(view, ["sparsity"], allow_maps=False)
    whole = instrument(view, plan.requests, shapes={"v0": (4, 12, 12)})

    def cost(requests: Any, batch: int) -> int:
        return whole.footprint.part([whole.slots[r].row.value for r in requests]).peak(batch)

    taps = [layer.tap() for layer in view.layers]
    for budget in range(needed(1) // 3, needed(3), needed(1) // 9):
        waves = plan_waves(whole, taps, Sizes((1, 2, 3)), budget)
        fitting = [n for n in (1, 2, 3) if cost(whole.slots, n) <= budget]
        assert waves.batch == max(fitting, default=1)
        assert (len(waves.parts) == 1) == bool(fitting)
        assert sorted(itertools.chain(*waves.parts), key=repr) == sorted(whole.slots, key=repr)
        assert waves.estimate == max(cost(part, waves.batch) for part in waves.parts) <= budget
        assert list(dict.fromkeys(r.tensor for part in waves.parts for r in part)) == [t.tensor for t in taps]
        if not fitting:
            for part, after in itertools.pairwise(waves.parts):
                following = [r for r in after if r.tensor == after[0].tensor]
                assert cost([*part, *following], 1) > budget
