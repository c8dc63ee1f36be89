"""Whole runs of networks that choose their course: what is counted, what is left out, and what the report says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from models import SAME, ZOO, W, model
from models_branches import AFTER, BRANCHED, HEAD, LOOPED, V, choice, negative, positive
from reference import Sparsity, values

from inspector import BatchInfo, Images, Report, Table, service
from inspector.analysis.observe import _singly
from inspector.analysis.plan import make_plan
from inspector.analysis.run import Totals, conclude
from inspector.analysis.store import from_bytes, to_bytes
from inspector.errors import Inapplicable
from inspector.runtime.data import Batch

X = np.random.default_rng(5).normal(size=(20, 3, 6, 5)).astype(np.float32)
ALL = pytest.mark.parametrize("name", BRANCHED)


def table(report: Report, title: str, analysis: str = "sparsity") -> list[dict[str, Any]]:
    result = report.result(analysis)
    assert result.failure is None
    found = [b for b in result.blocks if isinstance(b, Table) and b.title == title]
    return [dict(zip((c.name for c in b.columns), row, strict=True)) for b in found for row in b.rows]


def taps_of(name: str) -> Mapping[str, tuple[str, Any]]:
    """Tensor and test by name of the last tap of every layer."""
    return {
        f"{layer}:{list(taps)[-1]}": (list(taps.values())[-1], taken)
        for layer, (taken, taps) in BRANCHED[name].layers.items()
    }


@ALL
@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.parametrize("fidelity", ["fast", "exact"])
def test_counts_are_those_of_the_inputs_that_reached_a_tap(name: str, batch: int, fidelity: Any) -> None:
    """Against NumPy, from the flat net's maps by the ONNX reference implementation."""
    net = BRANCHED[name]
    report = service.audit(net.data, X, ["sparsity"], batch_size=batch, fidelity=fidelity)
    rows = table(report, "Sparsity by channel")
    maps = values(net.flat, {"x": X}, [tensor for tensor, _ in taps_of(name).values()])
    seen = []
    for tap, (tensor, taken) in taps_of(name).items():
        reached = [i for i in range(len(X)) if taken(X[i])]
        found = [row for row in rows if row["tap"] == tap]
        if not reached:
            assert not found
            continue
        exact = service.load(net.data).taps((tap,))[0].zeros.value == "exact"
        wanted = Sparsity.of(maps[tensor][reached], exact=exact)
        assert [row["zero fraction"] for row in found] == pytest.approx(wanted.zero_fraction.tolist(), abs=1e-12)
        assert [row["active in"] for row in found] == wanted.active.tolist()
        assert [row["max"] for row in found] == pytest.approx(wanted.peak.tolist(), rel=1e-5, abs=1e-6)
        assert [row["mean"] for row in found] == pytest.approx(wanted.mean.tolist(), rel=1e-5, abs=1e-6)
        seen.append(len(reached))
    layers = table(report, "Sparsity by layer")
    assert [row.get("inputs", len(X)) for row in layers] == seen
    assert report.provenance.batch == (1 if net.decided else batch)
    assert any("every input ran alone" in note for note in report.provenance.notes) == net.decided


@pytest.mark.parametrize("batch", [2, 32])
@pytest.mark.parametrize("data", [AFTER, LOOPED], ids=["after an If", "after a Loop"])
def test_what_reads_a_branch_or_a_loop_is_counted_alike_in_runs_of_any_size(data: bytes, batch: int) -> None:
    one, many = (service.audit(data, X, ["sparsity"], batch_size=size) for size in (1, batch))
    assert table(one, "Sparsity by channel") == table(many, "Sparsity by channel")
    assert many.provenance.batch == 1


def test_the_maps_after_a_branch_are_those_of_each_input_alone() -> None:
    inner = np.stack([x * x if positive(x) else -x for x in X])
    flat = model(f"[c] a = Conv {SAME} (x, w) y = Relu(a)", weights={"w": W})
    expected = values(flat, {"x": inner}, ["y"])["y"]
    np.testing.assert_allclose(service.activations(AFTER, X)["c:act"], expected, rtol=1e-5, atol=1e-5)


def test_a_loop_and_constant_conditions_let_inputs_share_a_run() -> None:
    assert service.audit(ZOO["in_a_loop"].data, X, batch_size=8).provenance.batch == 8
    assert service.audit(BRANCHED["constant"].data, X, batch_size=8).provenance.batch == 8


def test_taps_that_no_input_reached_are_named_and_the_others_stay() -> None:
    alike = np.abs(X[:3])
    report = service.inspect(BRANCHED["siblings"].data, alike, ["sparsity", "activations"])
    for analysis in ("sparsity", "activations"):
        (row,) = table(report, "Taps left out", analysis)
        assert (row["tap"], row["tensor"]) == ("e~2:act", "t~2")
        assert row["reason"] == "it was never executed: no input took the branch that it is in"
    assert {row["tap"] for row in table(report, "Sparsity by channel")} == {"c:act", "d:act"}
    assert report.ok


def test_an_analysis_none_of_whose_taps_was_reached_has_nothing_to_say() -> None:
    failure = service.audit(BRANCHED["siblings"].data, np.abs(X), ["sparsity:taps=e~2"]).result("sparsity").failure
    assert failure is not None
    assert failure.kind == Inapplicable.reason
    assert "'e~2:act'" in failure.message
    assert "never executed" in failure.message


def test_inputs_are_shown_one_by_one_where_they_went() -> None:
    net = BRANCHED["siblings"]
    report = service.inspect(net.data, X[:6], ["sparsity", "activations:inputs=6"])
    silent = table(report, "Silent channels by input")
    names = [f"array[{i}]" for i in range(6)]
    assert [(row["input"], row["tap"]) for row in silent] == [
        (name, tap) for name, x in zip(names, X, strict=False) for tap in ["c:act"] + ["d:act"] * positive(x)
    ]
    shown = [(row["input"], row["tap"]) for row in table(report, "Feature maps", "activations")]
    assert shown == [
        (name, tap)
        for name, x in zip(names, X, strict=False)
        for tap in ["c:act"] + ["d:act"] * positive(x) + ["e~2:act"] * negative(x)
    ]
    titles = [b.title for b in report.result("activations").blocks if isinstance(b, Images)]
    assert titles == [f"Input x for {name}" for name in names] + [f"{tap} for {name}" for name, tap in shown]
    apart = service.inspect(net.data, X[:6], ['activations:inputs=6,taps=["d","e~2"]'])  # no tap saw them all
    rows = table(apart, "Feature maps", "activations")
    assert [(row["input"], row["tap"]) for row in rows] == [place for place in shown if place[1] != "c:act"]


def test_a_caption_promises_no_more_than_the_tap_that_saw_fewest_inputs_bears_out() -> None:
    few = min(sum(map(positive, X)), sum(map(negative, X)))
    report = service.audit(BRANCHED["siblings"].data, X, ["sparsity", "distribution"])
    captions = [
        next(b.caption for b in report.result(name).blocks if isinstance(b, Table))
        for name in ("sparsity", "distribution")
    ]
    assert f"fires for under {1 - 0.05 ** (1 / few):.3g} of such inputs" in captions[0]
    assert f"Over {len(X)} inputs (some taps: {few})" in captions[1]


def test_activations_are_of_the_inputs_that_took_the_branch_in_their_order() -> None:
    net = BRANCHED["siblings"]
    maps = values(net.flat, {"x": X}, ["t", "t~2"])
    found = service.activations(net.data, X)
    yes = [i for i in range(len(X)) if positive(X[i])]
    no = [i for i in range(len(X)) if negative(X[i])]
    assert yes and no  # noqa: PT018 - both, or the test says nothing
    np.testing.assert_allclose(found["d:act"], maps["t"][yes], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["e~2:act"], maps["t~2"][no], rtol=1e-5, atol=1e-5)
    assert len(found["c:act"]) == len(X)
    assert set(service.activations(net.data, X[yes])) == {"c:act", "d:act"}
    with pytest.raises(Inapplicable, match=r"'e~2:act'.*none of the inputs took"):
        service.activations(net.data, X[yes], ["e~2"])


def test_a_batch_that_the_model_fixes_does_not_let_inputs_decide_for_each_other() -> None:
    """The runs of a model of batches of 4 are filled up with copies of their only input."""
    then, other = f"[d] e = Conv {SAME} (r, v) t = Relu(e)", "t = Neg(r)"
    ask = "p = ReduceMean <keepdims=0> (x) zero = Constant <value = float {0.0}> () q = Greater(p, zero)"
    body = f"{HEAD} {ask} {choice('q', then, other)}"
    fixed, free = (model(body, inputs=f"float[{n},3,6,5] x", weights={"w": W, "v": V}) for n in ("4", "N"))
    a, b = (service.audit(data, X, ["sparsity"], batch_size=8) for data in (fixed, free))
    assert table(a, "Sparsity by channel") == table(b, "Sparsity by channel")
    assert (a.provenance.batch, b.provenance.batch) == (4, 1)


JOINED = """[c] a = Conv <pads=[1,1,1,1]> (x, w) r = Relu(a) n = Neg(r) b = Concat <axis=0> (r, n)
[d] e = Conv <pads=[1,1,1,1]> (b, v) y = Relu(e)"""


@pytest.mark.parametrize("batch", [1, 4])
def test_a_tap_whose_rows_belong_to_no_input_is_left_out_and_the_others_stay(batch: int) -> None:
    report = service.audit(model(JOINED, weights={"w": W, "v": V}), X, ["sparsity"], batch_size=batch)
    (row,) = table(report, "Taps left out")
    assert row["tap"] == "d:act"
    assert "changes the batch axis" in row["reason"]
    assert f"{2 * batch} rows for {batch} input" in row["reason"]
    alone = service.audit(model(JOINED, weights={"w": W, "v": V}), X, ["sparsity:taps=c"])
    assert table(report, "Sparsity by channel") == table(alone, "Sparsity by channel")


def test_what_is_left_out_stays_left_out_when_summaries_are_kept_and_added() -> None:
    """One part has the tap's summary, the other says that it must not be used."""
    view = service.load(ZOO["chain"].data)
    plan = make_plan(view, ["sparsity"], allow_maps=False)
    first, second = (watch.tap for watch in plan.entries[0].watches)

    def part(odd: int) -> Totals:
        totals = Totals(plan)
        rows = {r: np.ones((2 + odd * (r.tensor == second.tensor), 4), np.float32) for r in plan.requests}
        totals.add(rows, BatchInfo(("a", "b"), 0))
        return from_bytes(plan, to_bytes(plan, totals))

    good, bad = part(0), part(1)
    assert set(good.summaries[0]) == {first, second}
    assert bad.nothing[0].keys() == {second}
    bad.summaries[0][second] = good.summaries[0][second]
    (result,) = conclude(view, plan, bad, None)
    (left_out,) = (b for b in result.blocks if isinstance(b, Table) and b.title == "Taps left out")
    assert [row[0] for row in left_out.rows] == [second.name]


def test_models_whose_branches_see_one_input_at_a_time_agree_with_the_input_alone() -> None:
    """The law of batches, one input's report at a time."""
    net = BRANCHED["nested"]
    whole = table(service.audit(net.data, X, ["sparsity"], batch_size=32), "Sparsity by channel")
    total: dict[tuple[str, int], int] = {}
    for i in range(len(X)):
        for row in table(service.audit(net.data, X[i : i + 1], ["sparsity"]), "Sparsity by channel"):
            key = (row["tap"], row["channel"])
            total[key] = total.get(key, 0) + row["active in"]
    assert total == {(row["tap"], row["channel"]): row["active in"] for row in whole}


def test_inputs_that_run_alone_keep_their_names_positions_and_labels() -> None:
    whole = Batch({"x": X[:3]}, BatchInfo(("a", "b", "c"), 7, ("cat", None, "dog")))
    single = Batch({"x": X[:1]}, BatchInfo(("d",), 10))
    infos = [(len(one.feeds["x"]), one.info) for one in (*_singly(whole), *_singly(single))]
    assert infos == [
        (1, BatchInfo(("a",), 7, ("cat",))),
        (1, BatchInfo(("b",), 8, (None,))),
        (1, BatchInfo(("c",), 9, ("dog",))),
        (1, BatchInfo(("d",), 10)),
    ]
