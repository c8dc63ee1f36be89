"""Which operators let inputs that share a run change each other, by what stands in the graph."""

from __future__ import annotations

import numpy as np
import pytest
from models import SAME, W, model

from inspector import Array
from inspector.graph.load import load

FREE, ONE = "float[N,3,6,5] x", "float[1,3,6,5] x"
NUMBERS = {
    "w": W, "p": np.ones((6, 5), "f"), "i0": np.array([0]),
    "m4": np.array([-4]), "c0": np.array(0), "c1": np.array(1), "none": np.array([], np.int64),
    "k": np.ones((1, 3, 1, 1), "f"), "v": np.ones(3, "f"), "zero": np.array(0, "f"),
}  # fmt: skip


def net(body: str, opset: int = 18, inputs: str = FREE) -> bytes:
    """What makes `s` of the input comes before a convolution of it."""
    whole = f"{body} [c] a = Conv {SAME} (s, w) y = Relu(a)"
    words = whole.replace(" ", "")
    used: dict[str, Array] = {
        k: v for k, v in NUMBERS.items() if f",{k}," in words or f",{k})" in words or f"({k}," in words
    }
    return model(whole, inputs=inputs, opset=opset, weights={**used, "k": NUMBERS["k"]})


MIXING = {
    "mean over the batch": ("m = ReduceMean (x, i0) s = Sub(x, m)", 18),
    "by an attribute": ("m = ReduceMean <axes=[0]> (x) s = Sub(x, m)", 17),
    "by a negative axis": ("m = ReduceMax <axes=[-4]> (x) s = Sub(x, m)", 17),
    "by a negative axis that is an input": ("m = ReduceMax (x, m4) s = Sub(x, m)", 20),
    "over everything": ("m = ReduceMax <keepdims=0> (x) s = Div(x, m)", 18),
    "over everything, by empty axes": ("m = ReduceSum (x, none) s = Div(x, m)", 13),
    "softmax": ("s = Softmax <axis=0> (x)", 17),
    "softmax of two axes": ("s = Softmax <axis=0> (x)", 11),
    "softmax of two axes, negative": ("s = LogSoftmax <axis=-4> (x)", 11),
    "norm": ("s = LpNormalization <axis=0> (x)", 17),
    "running sum": ("s = CumSum (x, c0)", 17),
    "greatest, by its number": ("q = ArgMax (x) f = Cast <to=1> (q) s = Add(x, f)", 17),
    "the greatest": ("q, r = TopK <axis=0> (x, i0) s = Add(x, q)", 17),
    "mean and variance": ("s = MeanVarianceNormalization (x)", 17),
    "layer of everything": ("s = LayerNormalization <axis=0> (x, x)", 17),
    "running maximum": (
        ("z, s = Scan <num_scan_inputs=1, body = b (float t, float[3,6,5] row) => (float u, float[3,6,5] q) "
         "{ m = ReduceMax <keepdims=0> (row) u = Max(t, m) q = Sub(row, u) }> (zero, x)"), 18,
    ),
    "training": ("n, mm, vv = BatchNormalization <training_mode=1> (x, v, v, v, v) s = Relu(n)", 17),
}  # fmt: skip
APART = {
    "mean of a picture": ("m = ReduceMean <axes=[1,2,3]> (x) s = Sub(x, m)", 17),
    "mean of a picture, negative": ("m = ReduceMean <axes=[-1,-2,-3]> (x) s = Sub(x, m)", 17),
    "of no axes": ("m = ReduceSum <noop_with_empty_axes=1> (x) s = Div(x, m)", 13),
    "of no axes, listed": ("m = ReduceMax <noop_with_empty_axes=1> (x, none) s = Div(x, m)", 18),
    "each by itself": (
        "s = Scan <num_scan_inputs=1, body = b (float[3,6,5] row) => (float[3,6,5] q) { q = Relu(row) }> (x)", 18,
    ),
    "row by row of a picture": (
        ("z, s = Scan <num_scan_inputs=1, scan_input_axes=[2], scan_output_axes=[2], "
         "body = b (float t, float[n,3,5] row) => (float u, float[n,3,5] q) "
         "{ u = Identity(t) q = Add(row, t) }> (zero, x)"), 18,
    ),
    "softmax of two axes": ("s = Softmax <axis=1> (x)", 11),
    "softmax of two axes, as it comes": ("s = Softmax (x)", 11),
    "softmax": ("s = Softmax (x)", 17),
    "norm": ("s = LpNormalization (x)", 17),
    "running sum": ("s = CumSum (x, c1)", 17),
    "mean and variance of each": ("s = MeanVarianceNormalization <axes=[2,3]> (x)", 17),
    "layer": ("s = LayerNormalization <axis=2> (x, p)", 17),
    "not training": ("n = BatchNormalization (x, v, v, v, v) s = Relu(n)", 17),
    "of a constant": ("m = ReduceMax (k) n = ReduceMean <axes=[0]> (k) l = Add(m, n) s = Mul(x, l)", 17),
    "of sizes": ("q = Shape(x) n = ReduceProd <keepdims=0> (q) f = Cast <to=1> (n) s = Div(x, f)", 17),
    "of sizes that are reals": ("q = Shape(x) f = Cast <to=1> (q) n = ReduceMax <keepdims=0> (f) s = Div(x, n)", 17),
    "of sizes in the form of a picture":
        ("q = Shape(x) f = Cast <to=1> (q) u = Unsqueeze (f, i0) n = ReduceMax <keepdims=0> (u) s = Div(x, n)", 17),
    "of whole numbers": ("q = Cast <to=7> (x) m = ReduceMax (q) f = Cast <to=1> (m) s = Div(x, f)", 17),
    "of channels that lie first":
        ("q = Transpose <perm=[1,0,2,3]> (x) m = ReduceMean <axes=[0]> (q) s = Sub(x, m)", 17),
    "another's operator": ("m = com.example.ReduceMax (x) s = Div(x, m)", 17),
}  # fmt: skip


def found(body: str, opset: int, inputs: str) -> tuple[str, ...]:
    return load(net(body, opset, inputs)).decided_by_data({"y"})


@pytest.mark.parametrize("inputs", [FREE, ONE], ids=["free", "fixed"])
@pytest.mark.parametrize("name", MIXING)
def test_what_works_along_the_batch_is_named(name: str, inputs: str) -> None:
    body, opset = MIXING[name]
    (mixing,) = found(body, opset, inputs)
    assert mixing.split(" ")[0] in body


@pytest.mark.parametrize("inputs", [FREE, ONE], ids=["free", "fixed"])
@pytest.mark.parametrize("name", APART)
def test_what_works_on_each_input_or_on_none_is_no_hindrance(name: str, inputs: str) -> None:
    assert found(*APART[name], inputs) == ()


def test_a_vector_of_one_number_may_be_anything_but_one_with_the_name_of_the_batch_is_the_batch() -> None:
    body = "q = ReduceMax <axes=[1,2,3], keepdims=0> (x) m = ReduceSum <axes=[0]> (q) s = Div(x, m)"
    assert found(body, 11, ONE) == ()
    assert found(body, 11, FREE) == ("ReduceSum 'm'",)


def test_only_what_comes_before_a_value_counts() -> None:
    data = model(f"[c] a = Conv {SAME} (x, w) r = Relu(a) y = ReduceMean <axes=[0]> (r)", weights={"w": W})
    assert load(data).decided_by_data({"r"}) == ()
    assert load(data).decided_by_data({"y"}) == ("ReduceMean 'y'",)


@pytest.mark.parametrize(
    "inputs", ["float[N,3,N,N] x", "float[?,3,6,5] x", "float x", "float[1,3,6,5] x, float[2,3] q"]
)
def test_where_the_batch_has_no_mark_of_its_own_nothing_is_certain(inputs: str) -> None:
    assert found("m = ReduceMean <axes=[0]> (x) s = Sub(x, m)", 17, inputs) == ()


def test_a_batch_of_one_among_free_ones_is_no_mark() -> None:
    body = "m = ReduceMean <axes=[0]> (q) s = Mul(x, m)"
    assert found(body, 17, f"{FREE}, float[1,3,1,1] q") == ()
    assert found(body, 17, f"{FREE}, float[N,3,1,1] q") == ("ReduceMean 'm'",)
