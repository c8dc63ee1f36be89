"""Runs that are made to fit: the same report from smaller batches and from waves of taps, or an error at once."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from models import SAME, ZOO, Case, model, numbers

from inspector import Report, service
from inspector.analysis.plan import make_plan
from inspector.analysis.waves import plan_waves
from inspector.errors import LimitError, ParameterError
from inspector.graph.instrument import instrument
from inspector.runtime import session as session_module

DEPTH = 8
DEEP = model(
    " ".join(f"[c{i}] a{i} = Conv {SAME} (v{i}, w) v{i + 1} = Relu(a{i})" for i in range(DEPTH))
    + f" y = GlobalMaxPool(v{DEPTH})",
    inputs="float[N,4,12,12] v0",
    weights={"w": numbers(4, 4, 3, 3)},
)
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


def test_every_wave_is_checked_and_its_operators_counted() -> None:
    provenance = audit(int(needed(1) * 0.9), self_check=True).provenance
    assert provenance.memory is not None
    assert provenance.check is not None
    assert provenance.check.equal
    (convolutions,) = (o for o in provenance.operators if o.op == "Conv")
    assert (convolutions.plain, convolutions.watched) == (DEPTH, provenance.memory.waves * DEPTH)


def test_sessions_of_waves_are_made_once_where_their_weights_fit_and_again_where_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built: list[int] = []
    build = session_module._build
    monkeypatch.setattr(session_module, "_build", lambda *args: built.append(1) or build(*args))

    def sessions(data: bytes, memory: int) -> tuple[int, int]:
        built.clear()
        report = service.audit(data, X, ["sparsity"], memory=memory, batch_size=1, self_check=False)
        return len(built), memory_of(report)[2]

    made, waves = sessions(DEEP, int(needed(1) * 0.6))
    assert (made, waves > 1) == (waves, True)
    heavy = model(
        " ".join(f"[c{i}] a{i} = Conv <pads=[8,8,8,8]> (v{i}, w{i}) v{i + 1} = Relu(a{i})" for i in range(DEPTH))
        + f" y = GlobalMaxPool(v{DEPTH})",
        inputs="float[N,4,12,12] v0",
        weights={f"w{i}": numbers(4, 4, 17, 17) for i in range(DEPTH)},
    )
    whole = memory_of(service.audit(heavy, X, ["sparsity"], batch_size=1))[0]
    made, waves = sessions(heavy, whole - 1)
    assert waves > 1
    assert made == waves * len(X)


def test_a_budget_below_one_tap_is_an_error_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "_build", lambda *_: pytest.fail("a session was made"))
    found = rf"tap 'c0:act'.* at 1 input a run; expected at most {MAP} bytes, found an estimate of \d+.*--memory"
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


def test_waves_are_in_layer_order_each_fits_and_the_next_tap_would_not() -> None:
    """Against a search through all batches and all consecutive parts."""
    view = service.load(DEEP)
    plan = make_plan(view, ["sparsity"], allow_maps=False)
    whole = instrument(view, plan.requests, shapes={"v0": (4, 12, 12)})

    def cost(requests: Any, batch: int) -> int:
        return whole.footprint.peak([whole.slots[r].row.value for r in requests], batch)

    taps = [layer.tap() for layer in view.layers]
    for budget in range(needed(1) // 3, needed(3), needed(1) // 9):
        waves = plan_waves(whole, taps, 3, budget, fixed=False)
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
