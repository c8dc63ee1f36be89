"""Convolutions in bodies: what is found of them, and what each rewrite brings out."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from models import SAME, ZOO, W, model, numbers
from models_branches import AFTER, BRANCHED, HEAD, LOOPED, POSITIVE, V, choice
from reference import values

from inspector import Array, TapKind, audit
from inspector.contract.measures import TAPPED, Ops
from inspector.graph.contents import nodes_of
from inspector.graph.instrument import Request, instrument
from inspector.graph.load import load
from inspector.graph.loading.tidy import drop_empty_ends
from inspector.runtime.devices import runtime
from inspector.runtime.session import open_session

op = Ops()
X = np.random.default_rng(4).normal(size=(12, 3, 6, 5)).astype(np.float32)
ROWS = (
    op.max(TAPPED), op.min(TAPPED), op.mean(TAPPED), op.count(op.greater(TAPPED, 0.0)), op.positions(TAPPED),
    op.keep(TAPPED),
)  # fmt: skip
ALL = pytest.mark.parametrize("name", BRANCHED)


def run(data: bytes, x: Array) -> list[Array]:
    with open_session(data, device="cpu", fidelity="exact") as session:
        return list(session.run({"x": x}))


@ALL
def test_convolutions_in_branches_are_layers_with_taps(name: str) -> None:
    net = BRANCHED[name]
    view = load(net.data)
    found = {x.name: {k.value: t.tensor for k, t in x.taps.items()} for x in view.layers}
    expected = {layer: dict(taps) for layer, (_, taps) in net.layers.items()}
    assert found == expected
    assert view.left_out == ()


@ALL
@pytest.mark.parametrize("sized", [False, True], ids=["free", "sized"])
def test_every_row_of_a_branch_is_that_of_the_flat_net_or_is_not_there(name: str, sized: bool) -> None:
    """Against the ONNX reference implementation on a net without branches, and NumPy."""
    net = BRANCHED[name]
    view = load(net.data)
    tensors = [(t, taken) for taken, taps in net.layers.values() for t in taps.values()]
    requests = [Request(t, row) for t, _ in tensors for row in ROWS]
    written = instrument(view, requests, shapes={"x": X.shape[1:]} if sized else None)
    maps = values(net.flat, {"x": X}, [t for t, _ in tensors])
    with open_session(written.model, weights=written.weights, device="cpu", fidelity="exact") as session:
        for i in range(len(X)):
            rows = written.rows(session.run({"x": X[i : i + 1]}))
            for tensor, taken in tensors:
                found = [rows[Request(tensor, row)] for row in ROWS]
                if not taken(X[i]):
                    assert [len(row) for row in found] == [0] * len(ROWS)
                    assert all(Request(tensor, row) in written.branched for row in ROWS)
                    continue
                wanted = maps[tensor][i : i + 1]
                high, low, mean, above, positions, kept = found
                np.testing.assert_allclose(kept, wanted, rtol=1e-5, atol=1e-5)
                np.testing.assert_array_equal(high, kept.max((2, 3)))
                np.testing.assert_array_equal(low, kept.min((2, 3)))
                np.testing.assert_allclose(mean, kept.mean((2, 3)), rtol=1e-5, atol=1e-6)
                np.testing.assert_array_equal(above, (kept > 0).sum((2, 3)))
                assert positions.tolist() == [[30]]


@ALL
def test_the_models_own_outputs_stay_as_they_were(name: str) -> None:
    net = BRANCHED[name]
    view = load(net.data)
    requests = [Request(tap.tensor, row) for tap in view.taps() for row in ROWS]
    written = instrument(view, requests, keep_outputs=True)
    for i in range(4):
        (expected,) = run(net.data, X[i : i + 1])
        np.testing.assert_array_equal(run(written.model, X[i : i + 1])[-1], expected)


@ALL
def test_only_nodes_that_the_data_decide_stand_in_the_way_of_shared_runs(name: str) -> None:
    view = load(BRANCHED[name].data)
    mean = "ReduceMean 'p'"  # of everything; the condition goes by it
    decided = {
        "siblings": ("If 'choose'", mean), "nested": ("If 'choose'", "If 'inner'", mean, "ReduceMax 'm'"),
        "constant": (),
    }  # fmt: skip
    tensors = {tap.tensor for tap in view.taps()}
    assert set(view.decided_by_data(tensors)) == set(decided[name])
    assert view.decided_by_data({"a"}) == ()


def test_what_reads_a_branch_or_a_loop_depends_on_how_it_was_decided() -> None:
    assert load(AFTER).decided_by_data({"a"}) == ("If 'choose'", "ReduceMean 'p'")
    assert load(LOOPED).decided_by_data({"a"}) == ("Loop 'turn'", "ReduceMax 'm'")
    assert load(ZOO["in_a_loop"].data).decided_by_data({"a"}) == ()


def test_a_loop_whose_body_gives_nothing_is_for_a_runtime_to_refuse() -> None:
    proto = onnx.load_from_string(LOOPED)
    (node,) = (n for n in proto.graph.node if n.op_type == "Loop")
    body = next(a.g for a in node.attribute if a.name == "body")
    del body.output[:]
    assert load(proto.SerializeToString()).decided_by_data({"a"}) == ("Loop 'turn'", "ReduceMax 'm'")


def test_outputs_that_say_by_an_empty_name_that_they_are_not_there_go_in_bodies_too() -> None:
    """Named ones that come after an empty one keep their places, and a node keeps its first output."""
    norm = "n = BatchNormalization (r, g, z, z, g) t = Relu(n)"
    data = model(f"{HEAD} {POSITIVE} {choice('q', norm, 't = Neg(r)')}", opset=9, outputs="float[N,C,H,W] y",
                 weights={"w": W, "g": np.ones(4, "f"), "z": np.zeros(4, "f")})  # fmt: skip
    proto = onnx.load_from_string(data)
    (then,) = (a.g for n in proto.graph.node for a in n.attribute if a.name == "then_branch")
    then.node[0].output.extend([""] * 4)
    then.node[1].output[:] = ["t", "", "more"]  # not Relu's, but it is the names that matter
    then.node.add(op_type="Relu", input=["n"], output=["", ""])
    drop_empty_ends(nodes_of(proto.graph.node))
    assert [list(node.output) for node in then.node] == [["n"], ["t", "", "more"], [""]]
    whole = onnx.load_from_string(data)
    (then,) = (a.g for n in whole.graph.node for a in n.attribute if a.name == "then_branch")
    then.node[0].output.extend([""] * 4)
    (found,) = (n for n in load(whole.SerializeToString()).model.graph.all_nodes() if n.op_type == "BatchNormalization")
    assert [value.name for value in found.outputs] == ["n"]


def test_a_convolution_in_a_loop_is_left_out_with_the_name_of_the_loop() -> None:
    reason = "is inside the body of Loop 'turn', which may run it any number of times for one input"
    assert load(LOOPED).left_out == (f"Conv 'inner' {reason}",)
    inside = (
        f"[l] z = Loop (turns, go, r) <body = again (int64 i, bool on, float[N,4,P,Q] s) => (bool o, {KIND} u) "
        f"{{ o = Identity(on) {choice('q', f'[deep] k = Conv {SAME} (s, v) t = Relu(k)', 't = Neg(s)', out='u')} }}>"
    )
    data = model(f"{HEAD} {POSITIVE} {inside} y = Neg(z)",
                 weights={"w": W, "v": V, "turns": np.array(2), "go": np.array(True)})  # fmt: skip
    assert load(data).left_out == (f"Conv 'deep' {reason.replace('turn', 'l')}",)


KIND = "float[N,M,P,Q]"


def test_names_of_bodies_become_unique_and_those_of_the_main_graph_stay() -> None:
    """Three pairs of branches that all call their values alike, one of them like what another would be called."""
    pair = [f"[d] t = Conv {SAME} (r, v)", f'"t~2" = Conv {SAME} (r, v) t = Neg("t~2")']
    body = " ".join(choice("q", *pair, name=f"i{k}", out=f"o{k}") for k in range(3))
    view = load(model(f"{HEAD} {POSITIVE} {body} y = Sum(o0, o1, o2)", weights={"w": W, "v": V}))
    names = [v.name for node in view.model.graph.all_nodes() for v in node.outputs]
    assert len(set(names)) == len(names)
    assert [v.name for node in view.model.graph for v in node.outputs] == [
        "a", "r", "p", "zero", "q", "o0", "o1", "o2", "y"
    ]  # fmt: skip
    assert len({x.name for x in view.layers}) == 7
    assert [x.name for x in view.layers] == [x.name for x in load(_bytes(view.model)).layers]


def _bytes(written: object) -> bytes:
    import onnx_ir as ir

    return ir.to_proto(written).SerializeToString()  # type: ignore[arg-type]


def test_weights_costs_bounds_and_fields_of_layers_in_branches_are_those_of_the_flat_net() -> None:
    """The fields of what reads an If are undetermined; of what is in a branch, they are as if it were taken."""
    net = BRANCHED["siblings"]
    view, flat = load(net.data), load(net.flat)
    for name, alike in (("d", "e"), ("e~2", "e~2"), ("c", "c")):
        for fold in (False, True):
            found, wanted = view.filters(name, fold_norm=fold), flat.filters(alike, fold_norm=fold)
            np.testing.assert_array_equal(found.weight, wanted.weight)
            np.testing.assert_array_equal(found.bias, wanted.bias)
        assert view.cost(name) == flat.cost(alike)
        assert view.input_range(name) == flat.input_range(alike)
        assert view.receptive_fields(name) == flat.receptive_fields(alike)
    assert view.receptive_fields("d")["x"].size == (5, 5)
    field = load(AFTER).receptive_fields("c")["x"]
    assert (field.size, field.unbounded) == ((None, None), True)  # it reads the condition, and that reads everything


def test_half_precision_and_lines_leave_branches_in_their_own_type_and_rank() -> None:
    kind = "float16[N,M,P]"
    body = (
        "p = ReduceMean <keepdims=0> (x) z = Sub(p, p) q = Greater(p, z) [c] a = Conv(x, w) "
        f"y = If (q) <then_branch = yes () => ({kind} t) {{ [d] e = Conv(x, w) t = Relu(e) }}, "
        f"else_branch = no () => ({kind} t) {{ t = Neg(a) }}>"
    )
    data = model(body, inputs="float16[N,3,7] x", outputs="float16[N,C,Q] y",
                 weights={"w": numbers(4, 3, 3).astype(np.float16)})  # fmt: skip
    requests = [Request("t", row) for row in ROWS]
    written = instrument(load(data), requests)
    x = np.ones((1, 3, 7), np.float16)
    for sign in (1, -1):
        rows = list(written.rows(run(written.model, x * np.float16(sign))).values())
        kinds = [row.dtype.name for row in rows]
        assert kinds == ["float32", "float32", "float32", "int64", "int64", "float16"]
        assert rows[-1].shape == ((1, 4, 5) if sign > 0 else (0, 4, 1))


def test_a_value_in_a_branch_whose_name_is_the_rewrites_own_is_refused() -> None:
    assert TapKind.CONV in load(BRANCHED["nested"].data).layer("f").taps
    proto = onnx.load_from_string(BRANCHED["nested"].data)
    (node,) = (n for n in proto.graph.node if n.op_type == "If")
    weight = node.attribute[0].g.initializer.add()
    weight.CopyFrom(onnx.numpy_helper.from_array(W, "inspector/w"))
    with pytest.raises(Exception, match="inspector/w"):
        instrument(load(proto.SerializeToString()), [Request("a", op.max(TAPPED))])


def test_a_branch_that_nobody_reads_holds_nothing_around_it() -> None:
    """It goes with what it alone reads."""
    body = """a = Conv(x, w) lone = Abs(a) top = ReduceMax <keepdims=0> (a) zero = Constant <value=float {0}> ()
        yes = Greater(top, zero) unread = If (yes) <then_branch = t () => (float[N,4,H,W] p) { p = Neg(lone) },
            else_branch = e () => (float[N,4,H,W] q) { q = Identity(lone) }> y = Relu(a)"""
    view = load(model(body, inputs="float[N,3,6,5] x", outputs="float[N,4,H,W] y", weights={"w": W}))
    assert view.layers[0].taps[TapKind.ACT].tensor == "y"


@ALL
def test_an_if_within_another_is_told_to_the_runtime(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = instrument(load(BRANCHED[name].data), (), keep_outputs=True)
    assert model.has_ifs_within == (name == "nested")
    left_out: list[list[str]] = []
    real = runtime().InferenceSession

    def remember(*given: object, disabled_optimizers: list[str], **options: object) -> object:
        left_out.append(disabled_optimizers)
        return real(*given, disabled_optimizers=disabled_optimizers, **options)

    monkeypatch.setattr(runtime(), "InferenceSession", remember)
    audit(BRANCHED[name].data, X, ["sparsity"])
    assert len(left_out) > 1
    assert {"ConstantFolding" in names for names in left_out} == {name == "nested"}
