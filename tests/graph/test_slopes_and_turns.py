"""Activations in several nodes as exporters of Keras write them: with Transposes between, and a slope for each channel.

tf2onnx moves Transposes towards the ends of a graph, as far as it can: constants and comparisons stop it, so that some
nodes of one activation compute with channels first and some with channels last.
"""

from __future__ import annotations

import numpy as np
import pytest
from models import SAME, B, W, model

from inspector import Array, Zeros, activations, audit
from inspector.graph.load import load

X = np.random.default_rng(5).normal(size=(4, 3, 6, 5)).astype(np.float32)
SLOPES = np.float32([0.5, -0.25, 1.0, 0.0])
KNOWN = {
    "w": W, "b": B, "more": np.float32([1, 2, 1, 1.5]).reshape(4, 1, 1),
    "s": SLOPES.reshape(4, 1, 1), "t": -SLOPES, "part": np.float32(0.7), "nil": np.float32(0),
    "places": -np.random.default_rng(6).uniform(0.1, 0.9, (6, 5, 4)).astype(np.float32), "half": np.float32(0.5),
    "cubed": np.float32(3), "c1": np.float32(0.044715), "c2": np.float32(0.7978846), "unit": np.float32(1),
}  # fmt: skip
LAST, FIRST = "Transpose <perm=[0,2,3,1]>", "Transpose <perm=[0,3,1,2]>"


def net(behind: str) -> bytes:
    text = f"[c] a = Conv {SAME} (x, w, b) {behind}"
    used = {n: np.asarray(v) for n, v in KNOWN.items() if any(f"{c}{n}{e}" in text for c in "( " for e in ",)")}
    return model(text, weights=used)


def linear(data: bytes) -> Array:
    return activations(data, X, ["c:conv"])["c:conv"].astype(np.float64)


ELU = (
    f"e = Elu(a) u = {LAST}(e) v = {LAST}(a) g = Greater(v, nil) f = Not(g) p = Cast <to=1> (g) q = Cast <to=1> (f) "
    f"k = Mul(part, u) l = Mul(p, v) m = Mul(k, q) r = Add(l, m) y = {FIRST}(r)"
)
GELU = (
    f"h = Mul(half, a) v = {LAST}(a) p = Pow(v, cubed) q = Mul(c1, p) u = {FIRST}(q) k = Add(a, u) l = Mul(c2, k) "
    "m = Tanh(l) n = Add(unit, m) y = Mul(h, n)"
)
SLOPED = "p = Relu(a) n = Neg(a) q = Relu(n)"
FOUND = {
    "elu": (ELU, "Elu", "r", lambda x: np.where(x > 0, x, 0.7 * np.expm1(np.minimum(x, 0)))),
    "gelu": (GELU, "GELU(tanh)", "y", lambda x: x / 2 * (1 + np.tanh(0.7978846 * (x + 0.044715 * x**3)))),
    "prelu": (
        f"{SLOPED} u = {LAST}(q) k = Mul(t, u) l = {FIRST}(k) y = Add(p, l)", "PRelu", "y",
        lambda x: np.where(x > 0, x, SLOPES.reshape(4, 1, 1) * x),
    ),
    "prelu, subtracted": (
        f"{SLOPED} l = Mul(q, s) y = Sub(p, l)", "PRelu", "y",
        lambda x: np.where(x > 0, x, SLOPES.reshape(4, 1, 1) * x),
    ),
    "prelu, by place": (
        f"{SLOPED} u = {LAST}(q) k = Mul(places, u) l = {FIRST}(k) y = Add(p, l)", "PRelu", "y",
        lambda x: np.where(x > 0, x, -np.moveaxis(KNOWN["places"], 2, 0) * x),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_the_tap_is_what_the_activation_gives(name: str) -> None:
    text, called, tensor, function = FOUND[name]
    data = net(text)
    (layer,) = load(data).layers
    act = layer.taps["act"]
    assert (layer.activation, act.tensor, act.zeros, act.bypassed) == (called, tensor, Zeros.NOT_MEANINGFUL, False)
    expected = function(linear(data))
    np.testing.assert_allclose(activations(data, X, ["c:act"])["c:act"], expected, atol=1e-5)
    metrics = {m.name: m.values for m in audit(data, X, ["sparsity"]).results[0].metrics}
    np.testing.assert_allclose(metrics["channel_peak"], expected.max(axis=(0, 2, 3)), rtol=1e-5)


def test_what_stands_behind_a_turn_and_is_bypassed() -> None:
    (layer,) = load(
        net(f"v = {LAST}(a) r = Relu(v) u = {FIRST}(r) o = Conv {SAME} (x, w) d = Add(o, a) y = Add(d, u)")
    ).layers[:1]
    assert (layer.activation, layer.taps["act"].bypassed) == ("Relu", True)


LINEAR = {
    "one of two is turned": f"v = {LAST}(a) k = Relu(v) n = Neg(a) m = Relu(n) y = Concat <axis=1> (m, k)",
    "more than the value above 0": f"{SLOPED} k = Mul(p, more) l = Mul(q, more) y = Add(k, l)",
    "two slopes of different sides": f"{SLOPED} k = Mul(p, s) l = Mul(q, s) y = Add(k, l)",
}


@pytest.mark.parametrize("name", LINEAR)
def test_other_arithmetic_has_no_name(name: str) -> None:
    assert load(net(LINEAR[name])).layers[0].activation is None


def test_values_that_lie_differently_are_not_one_function() -> None:
    # Sizes are equal, so that the product of a value and its own turn can be computed.
    text = f"[c] a = Conv {SAME} (x, w) v = {LAST}(a) g = Sigmoid(v) y = Mul(a, g)"
    (layer,) = load(model(text, inputs="float[N,3,4,4] x", weights={"w": W})).layers
    assert layer.activation != "SiLU"


def test_a_normalisation_in_another_element_type_is_passed() -> None:
    # As mixed precision has it: float16 around, BatchNormalization in float32.
    data = model(
        f"v = Cast <to=10> (x) k = Cast <to=10> (w) [c] a = Conv {SAME} (v, k) f = Cast <to=1> (a) m = Mul(f, s) "
        "n = Add(m, t) g = Cast <to=10> (n) r = Relu(g) y = Cast <to=1> (r)",
        weights={"w": W, "s": np.abs(SLOPES.reshape(4, 1, 1)) + 0.5, "t": SLOPES.reshape(4, 1, 1)},
    )
    view = load(data)
    (layer,) = view.layers
    assert (layer.activation, layer.taps["norm"].tensor, layer.taps["act"].tensor) == ("Relu", "n", "r")
    assert view.filters("c", fold_norm=True).whole
    maps = activations(data, X, ["c:norm", "c:act"])
    np.testing.assert_allclose(maps["c:act"], np.maximum(maps["c:norm"], 0), rtol=1e-3)


def test_an_empty_list_of_pads_is_none() -> None:
    data = model("[c] a = Conv <pads: ints = [], strides=[1,1]> (x, w) y = Relu(a)", opset=11, weights={"w": W})
    assert load(data).layers[0].pads == (0, 0, 0, 0)
