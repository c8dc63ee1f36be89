"""Numbers do not depend on which inputs share a run: models that mix them are found, and run them one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from models import SAME, W, model

from inspector import Array, BatchInfo, Report, Table, service
from inspector.analysis.how import How
from inspector.analysis.observe import Observer
from inspector.analysis.sharing import Feeds, Found, Sharing, close, is_real, look
from inspector.contract.measures import TAPPED, Ops
from inspector.control import Stop
from inspector.graph.instrument import Request
from inspector.graph.load import load
from inspector.runtime import session as session_module
from inspector.runtime.data import Batch, Raw

op = Ops()
X = (np.random.default_rng(0).normal(size=(8, 3, 6, 5)) * np.arange(1, 9).reshape(-1, 1, 1, 1)).astype(np.float32)
TAIL = f"[c] a = Conv {SAME} (s, w) y = Relu(a)"
ONE, ANY, THREE = "float[1,3,6,5] x", "float[?,3,6,5] x", "float[3,3,6,5] x"
STATED = "goes by all inputs of a run together; so every input ran alone"
MIXED = "the model mixes inputs that share a run: one alone has other rows; so every input ran alone"
RANDOM = "warning: one input gives other numbers every time it runs"
CHANGED = "the model changes the batch axis before it"


def net(body: str, weights: Mapping[str, Array] | None = None, tail: str = TAIL, **options: Any) -> bytes:
    return model(f"{body} {tail}", weights={"w": W, **(weights or {})}, **options)


def audit(data: bytes, x: Any = X, **options: Any) -> Report:
    return service.audit(data, x, ["sparsity"], fidelity="exact", **options)


def channels(report: Report) -> list[tuple[Any, ...]]:
    result = report.result("sparsity")
    assert result.failure is None
    table = result.blocks[2]
    assert isinstance(table, Table)
    return list(table.rows)


def notes(report: Report) -> str:
    return "\n".join(report.provenance.notes)


ends = {"one": np.array([-1]), "start": np.array([-(1 << 40)]), "axis": np.array([0])}
flat = {"flat": np.array([-1]), "k": np.array(50, np.float32)}
VECTOR = "v = Reshape(x, flat) p = ReduceMax <keepdims=0> (v) m = Max(p, k) s = Div(x, m)"
BY_OPERATOR = {
    "training": net("", {"o": np.ones(4, "f"), "z": np.zeros(4, "f")},
        f"[c] a = Conv {SAME} (x, w) n, mm, vv = BatchNormalization <training_mode=1> (a, o, z, z, o) y = Relu(n)"),
    "mean and variance": net("", tail=f"[c] a = Conv {SAME} (x, w) n = MeanVarianceNormalization (a) y = Relu(n)"),
    "mean": net("m = ReduceMean <axes=[0]> (x) s = Sub(x, m)"),
    "maximum": net("m = ReduceMax <keepdims=0> (x) s = Div(x, m)"),
    "softmax": net("s = Softmax <axis=0> (x)"),
    "norm": net("s = LpNormalization <axis=0> (x)"),
    "running sum": net("s = CumSum (x, ax)", {"ax": np.array(0)}),
    "a maximum that later inputs reach": net("p = ReduceMax <keepdims=0> (x) m = Max(p, k) s = Div(x, m)",
        {"k": flat["k"]}, inputs=ONE),
}  # fmt: skip
BY_RUNNING = {
    "a batch without a name": net("m = ReduceMax <keepdims=0> (x) s = Div(x, m)", inputs=ANY),
    "everything in one vector": net(VECTOR, flat),
    "in another order": net("s = Slice(x, one, start, axis, one)", ends),
    "a product over the batch": net(
        "v = Reshape(x, rows) t = Transpose(v) g = MatMul(t, v) r = ReduceMax <keepdims=0> (g) s = Div(x, r)",
        {"rows": np.array([0, 90])}),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_OPERATOR)
def test_a_model_with_an_operator_along_the_batch_has_the_numbers_of_each_input_alone(name: str) -> None:
    x = X.copy()
    x[5] *= 100
    alone, three, chosen = (audit(BY_OPERATOR[name], x, batch_size=size) for size in (1, 3, 0))
    assert channels(alone) == channels(three) == channels(chosen)
    assert STATED in notes(three)
    assert chosen.provenance.batch == 1


@pytest.mark.parametrize("size", [0, 2, 3, 8])
@pytest.mark.parametrize("name", BY_RUNNING)
def test_other_ways_to_mix_are_found_by_running_and_nothing_mixed_counts(name: str, size: int) -> None:
    x = X * 20
    alone, together = (audit(BY_RUNNING[name], x, batch_size=k) for k in (1, size))
    assert channels(alone) == channels(together)
    assert MIXED in notes(together)
    assert "batches of" not in notes(together)
    assert (together.provenance.batch, together.provenance.inputs) == (1, 8)


def test_inputs_that_are_alike_hide_no_mixing_of_those_behind_them() -> None:
    x = np.concatenate([np.repeat(X[:1], 4, axis=0), X[4:]])
    alone, together = (audit(BY_RUNNING["a batch without a name"], x, batch_size=size) for size in (1, 4))
    assert channels(alone) == channels(together)
    assert MIXED in notes(together)


def test_a_batch_that_was_made_free_is_fixed_again_where_the_first_real_batch_is_mixed() -> None:
    """The first two inputs, and the first and the last, do not show it."""
    x = X / 8
    x[3] *= 1000
    data = net(VECTOR, flat, inputs=ONE)
    alone, together = (audit(data, x, batch_size=size) for size in (1, 6))
    assert channels(alone) == channels(together)
    assert "gives other outputs without that; it ran as it is" in notes(together)
    assert "made free" not in notes(together)
    assert together.provenance.batch == 1


def test_where_the_first_input_has_a_size_of_its_own_the_first_two_of_one_size_are_tried() -> None:
    data = net("m = ReduceMax <keepdims=0> (x) s = Div(x, m)", inputs="float[?,3,H,W] x")
    x = [Raw(str(i), tensors={"x": np.full((3, side, side), i + 1, np.float32)}) for i, side in enumerate((5, 6, 6, 6))]
    alone, together = (audit(data, x, batch_size=size) for size in (1, 3))
    assert channels(alone) == channels(together)
    assert MIXED in notes(together)


@pytest.mark.parametrize("size", [4, 0])
def test_the_first_batch_of_several_is_tried_whatever_came_before(size: int) -> None:
    how = How(device="cpu", fidelity="exact", stop=Stop(), batch_size=size)
    observer = Observer(load(BY_RUNNING["a batch without a name"]), [Request("y", op.max(TAPPED))], how)
    batches = [Batch({"x": X[a:b]}, BatchInfo(tuple("abcdefgh"[a:b]), a)) for a, b in ((0, 1), (1, 5), (5, 8))]
    rows = [next(iter(found.values())) for found, _ in observer(batches)]
    assert len(rows) == 8
    assert observer.notes == [MIXED]
    alone = X / X.max((1, 2, 3), keepdims=True)
    wanted = [service.activations(net("s = Identity(x)"), one[None])["c:act"].max((2, 3)) for one in alone]
    np.testing.assert_allclose(np.concatenate(rows), np.concatenate(wanted), rtol=1e-5)


@pytest.mark.parametrize(
    ("data", "sessions"),
    [(net(VECTOR, flat, inputs=ONE), 5), (BY_RUNNING["everything in one vector"], 4), (net("s = Identity(x)"), 3)],
    ids=["fixed", "mixed", "apart"],
)
def test_batches_that_follow_need_no_new_sessions(data: bytes, sessions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two for the form of the model, two for the self-check, one to run, and another one where that was mixed."""
    built: list[int] = []
    build = session_module._build
    monkeypatch.setattr(session_module, "_build", lambda *args: built.append(1) or build(*args))
    audit(data, np.concatenate([X] * 4) * 20, batch_size=4)
    assert len(built) == sessions


def test_without_the_self_check_nothing_is_tried() -> None:
    report = audit(BY_RUNNING["a batch without a name"], batch_size=4, self_check=False)
    assert report.provenance.batch == 4
    assert notes(report) == ""


ROIS = net(
    "s = RoiAlign <output_height=3, output_width=3> (x, boxes, pictures)",
    {"boxes": np.array([[0, 0, 3, 3], [1, 1, 4, 4]], "f"), "pictures": np.array([0, 0])},
)
CHANNELS_FIRST = net("s = Transpose <perm=[1,0,2,3]> (x)", inputs=THREE)


@pytest.mark.parametrize("size", [0, 1, 2, 4, 8])
@pytest.mark.parametrize("data", [ROIS, CHANNELS_FIRST], ids=["two boxes of one picture", "three channels as a batch"])
def test_as_many_rows_as_inputs_by_chance_are_rows_of_no_input(data: bytes, size: int) -> None:
    for count in (2, 3, 8):
        failure = audit(data, X[:count], batch_size=size).result("sparsity").failure
        assert failure is not None
        assert failure.kind == "INAPPLICABLE"
        assert CHANGED in failure.message


def test_a_fixed_batch_that_is_put_in_another_order_counts_each_input_once() -> None:
    turned = net("s = Gather <axis=0> (x, i)", {"i": np.array([2, 1, 0])}, inputs=THREE)
    first = net("s = Gather <axis=0> (x, i)", {"i": np.array([0, 0, 0])}, inputs=THREE)
    plain = channels(audit(net("s = Identity(x)"), batch_size=1))
    for data in (turned, first):
        for size in (0, 1, 4):
            assert channels(audit(data, batch_size=size)) == plain


NOISE = {
    "dropout": ("s, mm = Dropout(x, half, yes)", {"half": np.array(0.5, "f"), "yes": np.array(True)}),
    "noise": ("q = RandomNormalLike(x) s = Add(x, q)", {}),
    "coin": ("g = Sigmoid(x) s = Bernoulli(g)", {}),
}


@pytest.mark.parametrize("inputs", ["float[N,3,6,5] x", ONE], ids=["free", "fixed"])
@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("name", NOISE)
def test_a_model_that_is_random_is_called_so_and_neither_mixing_nor_changed(name: str, size: int, inputs: str) -> None:
    body, weights = NOISE[name]
    for fidelity in ("exact", "fast"):
        report = service.audit(
            net(body, weights, inputs=inputs), X, ["sparsity"], batch_size=size, fidelity=fidelity
        )  # fmt: skip
        said = report.provenance.notes
        assert sum(RANDOM in note for note in said) == 1
        assert not any("mixes" in note or "watch" in note or "gives other outputs" in note for note in said)
        assert report.provenance.batch == (size if inputs != ONE else 1)


def test_numbers_that_are_none_do_not_pass_for_mixed_ones() -> None:
    report = audit(net("q = Log(x) s = Sqrt(q)"), batch_size=4)
    assert report.provenance.batch == 4
    assert notes(report) == ""


def test_models_that_round_to_few_bits_are_known() -> None:
    assert not load(net("s = Identity(x)")).is_coarse
    assert not load(net("q = Greater(x, x) s = Where(q, x, x)")).is_coarse
    assert load(net("q = Cast <to=10> (x) s = Cast <to=1> (q)")).is_coarse
    scale = {"h": np.array(0.1, "f"), "z": np.array(3, np.uint8)}
    assert load(net("q = QuantizeLinear(x, h, z) s = DequantizeLinear(q, h, z)", scale)).is_coarse
    assert load(
        net("", {"w": W}, f"h = Cast <to=10> (x) k = Cast <to=1> (h) [c] a = Conv {SAME} (k, w) y = Relu(a)")
    ).is_coarse


MEAN, MAX = (Request("t", measure) for measure in (op.mean(TAPPED), op.max(TAPPED)))
COUNT, OTHER = Request("t", op.count(op.greater(TAPPED, 0.0))), Request("u", op.max(TAPPED))


def told(change: Any, count: int = 5, copies: int = 1, values: Array | None = None) -> Found:
    """A look at a model that gives each input's value as every row; `change` alters the rows of a run of `n`."""

    def run(feeds: Feeds) -> dict[Request, Array]:
        x = feeds["x"].astype(np.float32)
        rows = {MEAN: x * 0.01, MAX: x, COUNT: x.astype(np.int64), OTHER: -x}
        change(rows, len(x))
        return rows

    x = np.arange(1.0, count + 1)[:, None] * [[1.0, -2.0]] if values is None else values
    return look(run, {"x": x}, copies=copies, tolerance=1e-4)


def put(rows: dict[Request, Array], request: Request, n: int, row: int, change: Any) -> None:
    if n > 1:
        rows[request][row] = change(rows[request][row])


@pytest.mark.parametrize("row", [0, 2, 4])
def test_a_difference_in_the_first_the_middle_or_the_last_row_is_mixing(row: int) -> None:
    found = told(lambda rows, n: put(rows, OTHER, n, row, lambda v: v * 1.001))
    assert (found.sharing, found.scattered) == (Sharing.MIXED, frozenset())
    assert len(found.rows[OTHER]) == 5


def test_what_rounds_is_no_mixing_and_is_measured_by_the_largest_of_the_same_tensor_and_input() -> None:
    for request, change in (
        (OTHER, lambda v: v * 1.00001), (MEAN, lambda v: v + 5e-5), (COUNT, lambda v: v + 1), (MAX, lambda v: v + 0),
    ):  # fmt: skip
        assert told(lambda rows, n, r=request, c=change: put(rows, r, n, 0, c)).sharing is Sharing.APART
    assert told(lambda rows, n: put(rows, MEAN, n, 0, lambda v: v + 5e-4)).sharing is Sharing.MIXED
    values = np.array([[1.0, 1.0], [1e6, 1e6]])  # a large input beside it is no excuse
    assert told(lambda rows, n: put(rows, MAX, n, 0, lambda v: v * 1.01), values=values).sharing is Sharing.MIXED


def test_nan_and_infinity_have_to_be_where_they_are_alone() -> None:
    values = np.array([[np.nan, 1.0], [np.inf, 2.0], [3.0, 4.0]])
    with np.errstate(invalid="ignore"):
        assert told(lambda *_: None, values=values).sharing is Sharing.APART
        assert told(lambda rows, n: put(rows, MAX, n, 0, np.nan_to_num), values=values).sharing is Sharing.MIXED
        assert told(lambda rows, n: put(rows, MAX, n, 2, lambda v: v * np.nan), values=values).sharing is Sharing.MIXED
        assert told(lambda rows, n: put(rows, MAX, n, 1, lambda v: v + 0.1), values=values).sharing is Sharing.MIXED


def test_reals_of_every_type_are_equal_up_to_rounding_and_nothing_else_is() -> None:
    for dtype in ("float16", "float32", "float64", ml_dtypes.bfloat16):
        a = np.array([1, np.nan, np.inf, 300], dtype)
        b = a.copy()
        b[0] = 2
        assert is_real(a)
        assert close(a, b, 1e-2)
        assert not close(a, b, 1e-3)
    for a in (np.array([1, 300]), np.array([True, False]), np.array(["a", "b"], object)):
        assert not is_real(a)
        assert close(a, a.copy(), 1e-2)
        assert not close(a, a[::-1], 1e3)


def test_rows_that_are_not_one_for_each_input_are_left_alone_unless_there_are_as_many_by_chance() -> None:
    def always(number: int) -> Any:
        return lambda rows, _: rows.update({OTHER: np.ones((number, 2), np.float32)})

    assert told(always(2), count=5).sharing is Sharing.APART
    assert told(always(2), count=2).sharing is Sharing.MIXED
    assert told(always(1), count=2).sharing is Sharing.MIXED  # alone, it is that input's own


def test_rows_of_copies_that_are_no_copies_are_scattered() -> None:
    def numbered(rows: dict[Request, Array], n: int) -> None:
        rows[OTHER] = np.arange(n, dtype=np.float32)[:, None] * [1.0, 2.0]

    assert told(lambda *_: None, copies=3).sharing is Sharing.APART
    found = told(numbered, copies=3)
    assert (found.sharing, found.scattered) == (Sharing.MIXED, {OTHER})
    assert told(numbered, copies=3, count=1).scattered == {OTHER}


def test_rows_that_are_fewer_than_the_copies_of_one_input_are_short() -> None:
    def single(rows: dict[Request, Array], _: int) -> None:
        rows[OTHER] = np.ones((1, 2), np.float32)

    assert told(single, copies=3, count=1).short == {OTHER}
    assert told(single, copies=3).short == {OTHER}
    assert told(lambda *_: None, copies=3).short == frozenset()
    assert told(single, count=1).short == frozenset()


def test_a_branch_that_is_taken_only_together_is_mixing() -> None:
    assert told(lambda rows, n: n > 1 and rows.pop(OTHER)).sharing is Sharing.MIXED
    assert told(lambda rows, n: n == 1 and rows.pop(OTHER)).sharing is Sharing.MIXED
    assert told(lambda rows, _: rows.pop(OTHER)).sharing is Sharing.APART


def test_what_differs_from_run_to_run_is_random() -> None:
    random = np.random.default_rng(0)
    assert (
        told(lambda rows, _: rows.update({k: v + random.random() for k, v in rows.items()})).sharing is Sharing.RANDOM
    )
